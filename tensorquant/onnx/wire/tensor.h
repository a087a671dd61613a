#ifndef TENSORQUANT_ONNX_WIRE_TENSOR_H_
#define TENSORQUANT_ONNX_WIRE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tensorquant::onnx {

// The types of a tensor's elements, with ONNX's numbers.
enum class DataType : std::int32_t {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  complex64 = 14,
  complex128 = 15,
  bf16 = 16,
  float8e4m3fn = 17,
  float8e4m3fnuz = 18,
  float8e5m2 = 19,
  float8e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
  float4e2m1 = 23,
  float8e8m0 = 24,
  uint2 = 25,
  int2 = 26,
};

// "float", "int64": as in ONNX's operator pages. "type 99" for a number that has no type.
std::string name_of(DataType type);
// Of an element in raw data; 0 for strings and for a number that has no type.
int bits_of(DataType type);
// float, double, float16, bfloat16 and the small ones.
bool is_floating_point(DataType type);

// [2, 3]; a scalar is [].
std::string to_string(std::span<const std::int64_t> dims);
// Nothing if a dimension is negative or the product does not fit.
std::optional<std::size_t> element_count(std::span<const std::int64_t> dims);
// Elements of fewer than 8 bits are packed, the first in the lowest bits. Nothing on overflow.
std::optional<std::size_t> byte_count(DataType type, std::span<const std::int64_t> dims);

// Where a tensor's bytes are if they are not in the model's file.
struct ExternalData {
  std::string location;  // relative to the model's folder
  std::int64_t offset = 0;
  std::optional<std::int64_t> length;  // to the file's end if left out
  bool operator==(const ExternalData&) const = default;
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

// A TensorProto. However a file spells the elements, they are here as in raw data: in C order,
// little-endian.
struct Tensor {
  std::string name;
  DataType type = DataType::undefined;
  std::vector<std::int64_t> dims;
  std::vector<std::byte> bytes;      // byte_count(type, dims) of them, none while `external` is set
  std::vector<std::string> strings;  // of type string: they are no bytes
  std::optional<ExternalData> external;
  Metadata metadata;
  bool operator==(const Tensor&) const = default;

  // The elements in place; T must be of their size.
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

// A tensor of such values.
Tensor make_tensor(DataType type, std::vector<std::int64_t> dims, std::span<const std::byte> bytes);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_WIRE_TENSOR_H_
