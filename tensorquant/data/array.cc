#include "tensorquant/data/array.h"

#include <limits>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

struct Description {
  std::string_view name;
  std::size_t size;
};

// In the order of DType.
constexpr Description kDescriptions[] = {
    {"boolean", 1}, {"u8", 1},  {"i8", 1},  {"f8_e5m2", 1}, {"f8_e4m3", 1},
    {"i16", 2},     {"u16", 2}, {"f16", 2}, {"bf16", 2},    {"i32", 4},
    {"u32", 4},     {"f32", 4}, {"f64", 8}, {"i64", 8},     {"u64", 8},
};
static_assert(std::size(kDescriptions) == static_cast<std::size_t>(DType::u64) + 1);

const Description& description_of(DType dtype) {
  return kDescriptions[static_cast<std::size_t>(dtype)];
}

std::optional<std::size_t> product(std::size_t a, std::size_t b) {
  if (b != 0 && a > std::numeric_limits<std::size_t>::max() / b) {
    return std::nullopt;
  }
  return a * b;
}

}  // namespace

std::size_t size_of(DType dtype) { return description_of(dtype).size; }

std::string_view name_of(DType dtype) { return description_of(dtype).name; }

std::optional<std::size_t> element_count(std::span<const std::size_t> shape) {
  std::optional<std::size_t> count = 1;
  for (std::size_t dimension : shape) {
    count = product(*count, dimension);
    if (!count) {
      break;
    }
  }
  return count;
}

std::optional<std::size_t> byte_count(DType dtype, std::span<const std::size_t> shape) {
  const std::optional<std::size_t> count = element_count(shape);
  return count ? product(*count, size_of(dtype)) : std::nullopt;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

void Array::require(DType wanted) const {
  if (dtype != wanted) {
    throw Error("an array of " + std::string(name_of(dtype)) + " cannot be read as " +
                std::string(name_of(wanted)));
  }
}

Array make_array(DType dtype, Shape shape, std::span<const std::byte> bytes) {
  if (byte_count(dtype, shape) != bytes.size()) {
    throw Error("an array of " + std::string(name_of(dtype)) + " and shape " + to_string(shape) +
                " cannot hold " + std::to_string(bytes.size()) + " bytes");
  }
  return {dtype, std::move(shape), {bytes.begin(), bytes.end()}};
}

}  // namespace tensorquant
