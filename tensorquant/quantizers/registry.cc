#include "tensorquant/quantizers/registry.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/format_quantizer.h"
#include "tensorquant/quantizers/format_text.h"
#include "tensorquant/quantizers/hardware.h"
#include "tensorquant/quantizers/spec_error.h"
#include "tensorquant/quantizers/spellings.h"

namespace tensorquant {
namespace {

struct Registration {
  QuantizerInfo info;
  QuantizerFactory factory;
};

// Registered at run time, by the user.
struct Registry {
  std::mutex mutex;
  std::map<std::string, Registration> entries;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

const FormatEntry* find_format(const std::string& name) {
  const auto& list = format_list();
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const FormatEntry& entry) { return entry.name == name; });
  return found == list.end() ? nullptr : &*found;
}

std::shared_ptr<const Quantizer> make_format_quantizer(const FormatEntry& entry,
                                                       SpecReader& reader) {
  using enum FormatQuantizer::Gradient;
  const Format format = read_format(entry, reader);
  constexpr std::array<std::string_view, 2> gradients = {"ste", "clipped"};
  const bool clips = reader.choice_keyword("grad", gradients).value_or(0) == 1;
  return std::make_shared<FormatQuantizer>(entry, format, clips ? clipped : straight_through);
}

QuantizerFactory find_factory(const std::string& name) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto found = r.entries.find(name);
  return found == r.entries.end() ? nullptr : found->second.factory;
}

// A string of ours.
std::shared_ptr<const Quantizer> make_own_quantizer(std::string_view spec) {
  SpecReader reader(spec);
  std::shared_ptr<const Quantizer> quantizer;
  if (const FormatEntry* entry = find_format(reader.name())) {
    quantizer = make_format_quantizer(*entry, reader);
  } else if (const QuantizerFactory factory = find_factory(reader.name())) {
    quantizer = factory(reader);
    if (quantizer == nullptr)
      reader.fail("the factory of '" + reader.name() + "' gave no quantizer");
  } else if (find_hardware(reader.name()) != nullptr) {
    reader.fail("'" + reader.name() + "' is no quantizer but a value of intrinsic maps");
  } else {
    std::vector<std::string> names;
    for (const QuantizerInfo& info : list_quantizers()) names.push_back(info.name);
    const std::string nearest = nearest_name(reader.name(), names);
    reader.fail(
        "unknown name '" + reader.name() + "'" +
        (nearest.empty() ? "; 'tensorquant list' shows all" : ", did you mean '" + nearest + "'?"));
  }
  reader.expect_all_taken();
  return quantizer;
}

}  // namespace

std::shared_ptr<const Quantizer> make_quantizer(std::string_view spec) {
  const std::optional<Spelling> theirs = spelling_of_others(spec);
  if (!theirs) return make_own_quantizer(spec);
  try {
    return make_own_quantizer(theirs->ours + std::string(spec.substr(theirs->length)));
  } catch (const SpecError& error) {  // points at the string that was given
    const std::size_t behind = theirs->ours.size();
    const std::size_t column =
        error.column() > behind ? error.column() - behind + theirs->length : 1;
    throw SpecError(std::string(spec), column, error.reason());
  }
}

void register_quantizer(const std::string& name, const std::string& usage,
                        const std::string& summary, QuantizerFactory factory) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_allowed)) {
    throw Error("register_quantizer: the name '" + name +
                "' is not made of lower-case letters, digits and underscores");
  }
  if (factory == nullptr) throw Error("register_quantizer: '" + name + "' has no factory");
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const bool is_new =
      find_format(name) == nullptr && find_hardware(name) == nullptr &&
      r.entries.try_emplace(name, Registration{{name, usage, summary}, std::move(factory)}).second;
  if (!is_new) throw Error("register_quantizer: the name '" + name + "' is taken");
}

std::vector<QuantizerInfo> list_quantizers() {
  std::vector<QuantizerInfo> list;
  for (const FormatEntry& entry : format_list()) {
    list.push_back({std::string(entry.name), format_usage(entry) + "[,grad=ste|clipped]",
                    std::string(entry.summary)});
  }
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  for (const auto& [name, registration] : r.entries) list.push_back(registration.info);
  return list;
}

}  // namespace tensorquant
