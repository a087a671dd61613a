#include "tensorquant/libtorch/layers/parameter_owners.h"

#include <algorithm>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/maps/layer_quantizers.h"
#include "tensorquant/maps/place.h"

namespace tensorquant {
namespace {

struct NamedParameter {
  ParameterNames::Name name;
  at::Tensor tensor;
};

// The name, with the number that it has after the layer's parameters so far.
ParameterNames::Name role_of(const std::string& name, const std::vector<NamedParameter>& before) {
  const bool bias = is_bias(name);
  const auto count = std::count_if(before.begin(), before.end(), [bias](const auto& parameter) {
    return is_bias(parameter.name.name) == bias;
  });
  return {name, numbered(bias ? Place::bias : Place::weight, static_cast<int>(count))};
}

// The layer's own parameters: not those of quantizable layers inside it, which look after
// themselves.
void collect_parameters(torch::nn::Module& module, const std::string& prefix,
                        std::vector<NamedParameter>& found) {
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    if (!parameter.value().defined()) continue;
    found.push_back({role_of(prefix + parameter.key(), found), parameter.value()});
  }
  for (const auto& child : module.named_children()) {
    if (dynamic_cast<QuantizableLayer*>(child.value().get()) != nullptr) continue;
    collect_parameters(*child.value(), prefix + child.key() + ".", found);
  }
}

// The parameter that the tensor stands in for: one of its shape if there is one.
std::vector<NamedParameter>::const_iterator replaced_by(const at::Tensor& x,
                                                        const std::vector<NamedParameter>& unread) {
  const auto alike = std::find_if(unread.begin(), unread.end(), [&](const NamedParameter& one) {
    return one.tensor.sizes() == x.sizes();
  });
  return alike != unread.end() ? alike : unread.begin();
}

std::string described(const ParameterOwners::Reading& reading) {
  if (reading.quantizer == nullptr) {
    return "none in '" + reading.layer + "' by " +
           (reading.rule.empty() ? "no rule" : reading.rule);
  }
  return reading.quantizer->spec() + " in '" + reading.layer + "' by " + reading.rule;
}

}  // namespace

ParameterOwners::ParameterOwners(const torch::nn::Module& model) {
  for (const auto& parameter : model.named_parameters()) {
    if (!parameter.value().defined()) continue;
    names_.try_emplace(parameter.value().unsafeGetTensorImpl(), parameter.key());
  }
}

std::string ParameterOwners::registered_name(const at::Tensor& x) const {
  const auto found = names_.find(x.unsafeGetTensorImpl());
  return found == names_.end() ? "" : found->second;
}

std::uint32_t ParameterOwners::stream(const at::Tensor& x, Reading reading) {
  const auto spec = [](const Reading& one) -> std::string {
    return one.quantizer == nullptr ? "" : one.quantizer->spec();
  };
  const auto [place, is_new] = first_.try_emplace(x.unsafeGetTensorImpl(), reading);
  const Reading& first = place->second;
  if (!is_new && spec(first) != spec(reading)) {
    throw Error("layers '" + first.layer + "' and '" + reading.layer + "' share a parameter ('" +
                first.parameter + "' of the one, '" + reading.parameter +
                "' of the other) but have different quantizers for it: " + described(first) + ", " +
                described(reading) + "; give both the same rule");
  }
  return first.stream;
}

ParameterNames::ParameterNames(torch::nn::Module& layer, const std::vector<at::Tensor>& handles,
                               const ParameterOwners& owners)
    : names_(handles.size()) {
  std::vector<NamedParameter> own;
  collect_parameters(layer, "", own);
  std::vector<NamedParameter> unread = own;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    const auto same = [&](const NamedParameter& one) { return one.tensor.is_same(handles[i]); };
    const auto found = std::find_if(own.begin(), own.end(), same);
    if (found != own.end()) names_[i] = found->name;
    std::erase_if(unread, same);
  }
  // Those of quantizable layers inside this one are theirs.
  const ParameterOwners inside(layer);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    if (!names_[i].name.empty() || !inside.registered_name(handles[i]).empty()) continue;
    const std::string elsewhere = owners.registered_name(handles[i]);
    if (elsewhere.empty()) continue;
    if (unread.empty()) {
      names_[i] = role_of(elsewhere, own);
      own.push_back({names_[i], handles[i]});
      continue;
    }
    const auto replaced = replaced_by(handles[i], unread);
    names_[i] = replaced->name;
    unread.erase(replaced);
  }
  for (const NamedParameter& one : unread) unread_.push_back(one.name.name);
}

}  // namespace tensorquant
