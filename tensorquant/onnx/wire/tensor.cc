#include "tensorquant/onnx/wire/tensor.h"

#include <limits>

namespace tensorquant::onnx {
namespace {

struct TypeEntry {
  const char* name;
  int bits;
  bool floating_point = false;
};

// By the numbers of DataType.
constexpr TypeEntry kTypes[] = {{"undefined", 0},
                                {"float", 32, true},
                                {"uint8", 8},
                                {"int8", 8},
                                {"uint16", 16},
                                {"int16", 16},
                                {"int32", 32},
                                {"int64", 64},
                                {"string", 0},
                                {"bool", 8},
                                {"float16", 16, true},
                                {"double", 64, true},
                                {"uint32", 32},
                                {"uint64", 64},
                                {"complex64", 64},
                                {"complex128", 128},
                                {"bfloat16", 16, true},
                                {"float8e4m3fn", 8, true},
                                {"float8e4m3fnuz", 8, true},
                                {"float8e5m2", 8, true},
                                {"float8e5m2fnuz", 8, true},
                                {"uint4", 4},
                                {"int4", 4},
                                {"float4e2m1", 4, true},
                                {"float8e8m0", 8, true},
                                {"uint2", 2},
                                {"int2", 2}};

const TypeEntry* entry_of(DataType type) {
  const auto number = static_cast<std::size_t>(type);
  return number < std::size(kTypes) ? &kTypes[number] : nullptr;
}

}  // namespace

std::string name_of(DataType type) {
  const TypeEntry* entry = entry_of(type);
  return entry != nullptr ? entry->name : "type " + std::to_string(static_cast<std::int32_t>(type));
}

int bits_of(DataType type) {
  const TypeEntry* entry = entry_of(type);
  return entry != nullptr ? entry->bits : 0;
}

bool is_floating_point(DataType type) {
  const TypeEntry* entry = entry_of(type);
  return entry != nullptr && entry->floating_point;
}

std::string to_string(std::span<const std::int64_t> dims) {
  std::string text = "[";
  for (const std::int64_t dim : dims) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  }
  return text + "]";
}

std::optional<std::size_t> element_count(std::span<const std::int64_t> dims) {
  constexpr auto kMax = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  std::size_t count = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    const auto size = static_cast<std::size_t>(dim);
    if (size != 0 && count > kMax / size) return std::nullopt;
    count *= size;
  }
  return count;
}

std::optional<std::size_t> byte_count(DataType type, std::span<const std::int64_t> dims) {
  const std::optional<std::size_t> count = element_count(dims);
  const auto bits = static_cast<std::size_t>(bits_of(type));
  if (!count || bits == 0 || *count > (std::numeric_limits<std::size_t>::max() - 7) / bits) {
    return std::nullopt;
  }
  return (*count * bits + 7) / 8;
}

Tensor make_tensor(DataType type, std::vector<std::int64_t> dims,
                   std::span<const std::byte> bytes) {
  Tensor tensor;
  tensor.type = type;
  tensor.dims = std::move(dims);
  tensor.bytes.assign(bytes.begin(), bytes.end());
  return tensor;
}

}  // namespace tensorquant::onnx
