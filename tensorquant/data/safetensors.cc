#include "tensorquant/data/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kLengthSize = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the Python package
constexpr int kDeepest =
    2;  // the header's object, a tensor's object, its lists: no sound header goes deeper
constexpr const char* kMetadata = "__metadata__";

// In the order of DType.
constexpr std::string_view kTypeNames[] = {"BOOL", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
                                           "I16",  "U16", "F16", "BF16",    "I32",
                                           "U32",  "F32", "F64", "I64",     "U64"};

std::string type_name(DType dtype) {
  return std::string(kTypeNames[static_cast<std::size_t>(dtype)]);
}

std::optional<DType> type_named(std::string_view name) {
  const auto found = std::find(std::begin(kTypeNames), std::end(kTypeNames), name);
  if (found == std::end(kTypeNames)) {
    return std::nullopt;
  }
  return static_cast<DType>(found - std::begin(kTypeNames));
}

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  std::size_t begin;
  std::size_t end;
};

[[noreturn]] void fail(const std::string& source, const std::string& reason) {
  throw Error(source + ": " + reason);
}

// Any text on one line, with control characters and bytes that are not UTF-8 made visible.
std::string printable(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

[[noreturn]] void fail_tensor(const std::string& source, const std::string& name,
                              const std::string& reason) {
  fail(source, "tensor " + printable(name) + ": " + reason);
}

json parse_header(std::string_view text, const std::string& source) {
  std::vector<std::set<std::string>> keys;  // of each object that is open
  const auto check = [&](int depth, json::parse_event_t event, const json& value) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth > kDeepest) {
      fail(source, "the header's JSON is nested more deeply than that of safetensors");
    }
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        fail(source, "the name " + printable(key) + " stands twice in the header");
      }
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::parse_error& error) {
    fail(source,
         "the header is not valid JSON at byte " + std::to_string(kLengthSize + error.byte));
  } catch (const json::out_of_range&) {
    fail(source, "the header is not valid: a number does not fit a double");
  }
}

std::map<std::string, std::string> parse_metadata(const json& value, const std::string& source) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) {
    fail(source, "__metadata__: expected an object");
  }
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      fail(source, "__metadata__: expected a string for " + printable(key));
    }
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

Entry parse_entry(const std::string& name, const json& value, const std::string& source) {
  const auto field = [&](const char* key) -> const json& {
    if (!value.is_object() || !value.contains(key)) {
      fail_tensor(source, name, std::string("has no ") + key);
    }
    return value.at(key);
  };
  const auto integers = [&](const char* key) {
    const json& list = field(key);
    const auto is_size = [](const json& number) { return number.is_number_unsigned(); };
    if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_size)) {
      fail_tensor(source, name, std::string(key) + ": expected a list of integers of 0 or more");
    }
    return list.get<std::vector<std::size_t>>();
  };
  const json& type = field("dtype");
  const std::optional<DType> dtype =
      type.is_string() ? type_named(type.get_ref<const std::string&>()) : std::nullopt;
  if (!dtype) {
    fail_tensor(source, name,
                "unknown dtype " + (type.is_string() ? printable(type.get<std::string>())
                                                     : std::string("(expected a string)")));
  }
  const std::vector<std::size_t> offsets = integers("data_offsets");
  if (offsets.size() != 2) {
    fail_tensor(source, name,
                "data_offsets: expected two integers, found " + std::to_string(offsets.size()));
  }
  return {name, *dtype, integers("shape"), offsets[0], offsets[1]};
}

// `entry` must take up the data where the tensor before it ended, at byte `begin`.
void check_entry(const Entry& entry, std::size_t begin, std::size_t data_size,
                 const std::string& source) {
  const auto range = [&entry] {
    return "data_offsets [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]";
  };
  if (entry.begin > entry.end || entry.end > data_size) {
    fail_tensor(source, entry.name,
                range() + ": expected a range within " + std::to_string(data_size) + " bytes");
  }
  if (entry.begin != begin) {
    fail_tensor(source, entry.name,
                range() + (entry.begin < begin ? " overlap another tensor" : " leave a hole") +
                    ": expected to begin at " + std::to_string(begin));
  }
  const std::optional<std::size_t> size = byte_count(entry.dtype, entry.shape);
  if (size != entry.end - entry.begin) {
    fail_tensor(source, entry.name,
                range() + ": expected " + (size ? std::to_string(*size) : "more than 2^64") +
                    " bytes for shape " + to_string(entry.shape) + " of " + type_name(entry.dtype));
  }
}

using Item = std::pair<const std::string, Array>;

std::vector<const Item*> in_file_order(const std::map<std::string, Array>& tensors) {
  std::vector<const Item*> items;
  items.reserve(tensors.size());
  for (const Item& item : tensors) {
    items.push_back(&item);
  }
  const auto wider = [](const Item* a, const Item* b) { return a->second.dtype > b->second.dtype; };
  std::stable_sort(items.begin(), items.end(), wider);
  return items;
}

std::string header_for(const std::vector<const Item*>& items,
                       const std::map<std::string, std::string>& metadata,
                       const std::string& source) {
  ordered_json header = ordered_json::object();
  if (!metadata.empty()) {
    header[kMetadata] = metadata;
  }
  std::size_t begin = 0;
  for (const Item* item : items) {
    const auto& [name, array] = *item;
    if (name == kMetadata) {
      fail_tensor(source, name, "cannot write: the name is reserved");
    }
    if (byte_count(array.dtype, array.shape) != array.bytes.size()) {
      fail_tensor(source, name,
                  "cannot write: " + std::to_string(array.bytes.size()) +
                      " bytes do not make shape " + to_string(array.shape) + " of " +
                      type_name(array.dtype));
    }
    const std::size_t end = begin + array.bytes.size();
    header[name] = {
        {"dtype", type_name(array.dtype)}, {"shape", array.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const ordered_json::type_error&) {
    fail(source, "cannot write: a name or a metadata text is not UTF-8");
  }
  text.append((kLengthSize - text.size() % kLengthSize) % kLengthSize, ' ');
  if (text.size() > kMaxHeader) {
    fail(source, "cannot write: the header has " + std::to_string(text.size()) +
                     " bytes, at most " + std::to_string(kMaxHeader) + " are allowed");
  }
  return text;
}

}  // namespace

Safetensors read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

Safetensors parse_safetensors(std::span<const std::byte> file, const std::string& source) {
  if (file.size() < kLengthSize) {
    fail(source, "expected the header's length in 8 bytes, the file ends at byte " +
                     std::to_string(file.size()));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthSize);
  const std::size_t rest = file.size() - kLengthSize;
  if (length > kMaxHeader || length > rest) {
    fail(source, "a header of " + std::to_string(length) + " bytes, expected at most " +
                     std::to_string(std::min<std::uint64_t>(kMaxHeader, rest)));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthSize, length);
  if (!text.starts_with('{')) {
    fail(source, "is not a safetensors file: expected '{' at byte 8");
  }
  const std::span<const std::byte> data = file.subspan(kLengthSize + length);
  Safetensors result;
  std::vector<Entry> entries;
  const json header = parse_header(text, source);
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadata) {
      result.metadata = parse_metadata(value, source);
    } else {
      entries.push_back(parse_entry(name, value, source));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::size_t end = 0;
  for (Entry& entry : entries) {
    check_entry(entry, end, data.size(), source);
    end = entry.end;
    const std::span<const std::byte> bytes = data.subspan(entry.begin, entry.end - entry.begin);
    result.tensors[entry.name] = {
        entry.dtype, std::move(entry.shape), {bytes.begin(), bytes.end()}};
  }
  if (end != data.size()) {
    fail(source, "the tensors end at byte " + std::to_string(file.size() - data.size() + end) +
                     ", expected at the end of the file, byte " + std::to_string(file.size()));
  }
  return result;
}

void write_safetensors(const std::filesystem::path& path, const Safetensors& file) {
  const std::vector<const Item*> items = in_file_order(file.tensors);
  const std::string header = header_for(items, file.metadata, path.string());
  const std::uint64_t length = header.size();
  AtomicFile out(path);
  out.write(std::as_bytes(std::span(&length, 1)));
  out.write(header);
  for (const Item* item : items) {
    out.write(item->second.bytes);
  }
  out.commit();
}

}  // namespace tensorquant
