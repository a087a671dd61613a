#ifndef TENSORQUANT_DATA_ARRAY_H_
#define TENSORQUANT_DATA_ARRAY_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tensorquant {

static_assert(std::endian::native == std::endian::little, "array files are read without swapping");

// The type of an array's numbers, by ascending alignment. C++ has no type for boolean (one byte, 0
// or 1, in a file perhaps another), f8_*, f16 and bf16: they pass through as bytes.
enum class DType : std::uint8_t {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  f64,
  i64,
  u64
};

std::size_t size_of(DType dtype);       // in bytes
std::string_view name_of(DType dtype);  // "f32"

// The DType of a C++ type: dtype_of<float> is DType::f32. Not defined for types that have none.
template <class T>
extern const DType dtype_of;  // NOLINT(readability-identifier-naming): as the standard's traits
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::i8;
template <>
inline constexpr DType dtype_of<std::int16_t> = DType::i16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<std::uint16_t> = DType::u16;
template <>
inline constexpr DType dtype_of<std::uint32_t> = DType::u32;
template <>
inline constexpr DType dtype_of<std::uint64_t> = DType::u64;

using Shape = std::vector<std::size_t>;  // () is a single number

// The product of the dimensions; nothing if it, or an intermediate product, does not fit a size_t.
std::optional<std::size_t> element_count(std::span<const std::size_t> shape);

// element_count times size_of; nothing on overflow.
std::optional<std::size_t> byte_count(DType dtype, std::span<const std::size_t> shape);

// As Python writes a tuple: (), (3,), (2, 3).
std::string to_string(const Shape& shape);

// Numbers in C order (the last index runs fastest), little-endian. The bytes come from operator
// new, aligned for every DType.
struct Array {
  DType dtype = DType::u8;
  Shape shape = {0};
  std::vector<std::byte> bytes;  // byte_count(dtype, shape) of them

  // The numbers in place. Error if T is not the array's type.
  template <class T>
  std::span<const T> as() const {
    require(dtype_of<T>);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

 private:
  void require(DType wanted) const;
};

// An array with a copy of the values. Error if the shape asks for another number of them.
Array make_array(DType dtype, Shape shape, std::span<const std::byte> bytes);

template <class T>
Array make_array(Shape shape, std::span<const T> values) {
  return make_array(dtype_of<T>, std::move(shape), std::as_bytes(values));
}

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_ARRAY_H_
