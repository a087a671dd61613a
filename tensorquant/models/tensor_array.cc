#include "tensorquant/models/tensor_array.h"

#include <ATen/ATen.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 5> kTypes = {{
    {DType::f32, at::kFloat},
    {DType::f64, at::kDouble},
    {DType::i32, at::kInt},
    {DType::i64, at::kLong},
    {DType::u8, at::kByte},
}};

// Of files alone: no array of these types is made of a tensor.
constexpr std::array<std::pair<DType, at::ScalarType>, 4> kTypesOfFiles = {{
    {DType::boolean, at::kBool},
    {DType::i8, at::kChar},
    {DType::i16, at::kShort},
    {DType::f16, at::kHalf},
}};

at::Tensor tensor_of(const Array& array, at::ScalarType type) {
  at::Tensor tensor =
      at::empty(std::vector<std::int64_t>(array.shape.begin(), array.shape.end()), type);
  if (!array.bytes.empty()) {
    std::memcpy(tensor.data_ptr(), array.bytes.data(), array.bytes.size());
  }
  return tensor;
}

}  // namespace

Array to_array(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.detach().to(at::kCPU).contiguous();
  Shape shape;
  for (const std::int64_t size : dense.sizes()) shape.push_back(static_cast<std::size_t>(size));
  for (const auto& [dtype, scalar] : kTypes) {
    if (scalar != dense.scalar_type()) continue;
    const auto* bytes = static_cast<const std::byte*>(dense.data_ptr());
    return make_array(dtype, std::move(shape), std::span(bytes, dense.nbytes()));
  }
  throw Error(std::string("tensors of type ") + at::toString(dense.scalar_type()) +
              " cannot be written");
}

at::Tensor to_tensor(const Array& array) {
  for (const auto& [dtype, scalar] : kTypes) {
    if (dtype == array.dtype) return tensor_of(array, scalar);
  }
  for (const auto& [dtype, scalar] : kTypesOfFiles) {
    if (dtype == array.dtype) return tensor_of(array, scalar);
  }
  throw Error("arrays of type " + std::string(name_of(array.dtype)) + " cannot be read");
}

}  // namespace tensorquant
