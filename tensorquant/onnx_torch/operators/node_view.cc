#include "tensorquant/onnx_torch/operators/node_view.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/tensors/scaled_values.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/onnx_torch/operators/codes.h"

namespace tensorquant::onnx_torch {

const onnx::Attribute* NodeView::find(std::string_view name, onnx::AttributeType type) const {
  const onnx::Attribute* found = find_attribute(node_, name);
  if (found != nullptr && found->type != type) {
    throw Error("attribute '" + std::string(name) + "': its value is of a wrong type");
  }
  return found;
}

std::int64_t NodeView::integer(std::string_view name, std::int64_t otherwise) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::i);
  return found != nullptr ? found->i : otherwise;
}

double NodeView::number(std::string_view name, double otherwise) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::f);
  return found != nullptr ? found->f : otherwise;
}

std::string NodeView::text(std::string_view name, const std::string& otherwise) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::s);
  return found != nullptr ? found->s : otherwise;
}

Integers NodeView::integers(std::string_view name, Integers otherwise) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::ints);
  return found != nullptr ? found->ints : otherwise;
}

std::vector<double> NodeView::numbers(std::string_view name) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::floats);
  return found != nullptr ? std::vector<double>(found->floats.begin(), found->floats.end())
                          : std::vector<double>();
}

std::vector<std::string> NodeView::texts(std::string_view name) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::strings);
  return found != nullptr ? found->strings : std::vector<std::string>();
}

const onnx::Tensor* NodeView::tensor(std::string_view name) const {
  const onnx::Attribute* found = find(name, onnx::AttributeType::tensor);
  return found != nullptr ? &found->tensors.front() : nullptr;
}

IntegerList::IntegerList(const NodeView& node, std::size_t i, Integers otherwise) : input_(i) {
  const at::Tensor constant = node.constant(i);
  known_ = !node.has_input(i) || constant.defined();
  if (known_) values_ = constant.defined() ? integers_of(constant) : std::move(otherwise);
}

Integers IntegerList::of(const Tensors& inputs) const {
  return known_ ? values_ : integers_of(inputs.at(input_));
}

IntegerList axes_of(const NodeView& node, std::int64_t with_input) {
  return node.version() < with_input ? IntegerList(node.integers("axes")) : IntegerList(node, 1);
}

std::int64_t integer_of(const at::Tensor& tensor) {
  if (tensor.numel() != 1) {
    throw Error("expected one integer, found " + std::to_string(tensor.numel()));
  }
  return integers_of(tensor).front();
}

std::int64_t positive(const NodeView& node, std::string_view name, std::int64_t otherwise) {
  const std::int64_t value = node.integer(name, otherwise);
  if (value < 1) {
    throw Error("attribute '" + std::string(name) + "': expected 1 or more, found " +
                std::to_string(value));
  }
  return value;
}

Integers integers_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kLong).contiguous();
  const auto* first = flat.data_ptr<std::int64_t>();
  return {first, first + flat.numel()};
}

at::ScalarType scalar_type_of(onnx::DataType type) {
  switch (type) {
    case onnx::DataType::f32:
      return at::kFloat;
    case onnx::DataType::f64:
      return at::kDouble;
    case onnx::DataType::f16:
      return at::kHalf;
    case onnx::DataType::bf16:
      return at::kBFloat16;
    case onnx::DataType::u8:
      return at::kByte;
    case onnx::DataType::i8:
      return at::kChar;
    case onnx::DataType::i16:
      return at::kShort;
    case onnx::DataType::i32:
      return at::kInt;
    case onnx::DataType::i64:
      return at::kLong;
    case onnx::DataType::boolean:
      return at::kBool;
    default:
      throw Error("numbers of type " + name_of(type) + " cannot be computed with");
  }
}

at::Tensor tensor_of(const onnx::Tensor& tensor) {
  const at::ScalarType type = held_type(tensor.type);
  if (tensor.external) throw Error("its external data are not loaded");
  const std::optional<std::size_t> size = byte_count(tensor.type, tensor.dims);
  if (size != tensor.bytes.size()) {
    throw Error("dimensions " + onnx::to_string(tensor.dims) + " of " + name_of(tensor.type) +
                ", but " + std::to_string(tensor.bytes.size()) + " bytes");
  }
  if (at::elementSize(type) * 8 != static_cast<std::size_t>(bits_of(tensor.type))) {
    return decoded(tensor);
  }
  at::Tensor made = at::empty(tensor.dims, type);
  if (!tensor.bytes.empty()) std::memcpy(made.data_ptr(), tensor.bytes.data(), tensor.bytes.size());
  return made;
}

std::int64_t axis_of(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank) {
    throw Error("there is no axis " + std::to_string(axis) + " of " + std::to_string(rank));
  }
  return axis < 0 ? axis + rank : axis;
}

Integers all_axes_of(Integers axes, std::int64_t rank) {
  if (axes.empty()) {
    for (std::int64_t axis = 0; axis < rank; ++axis) axes.push_back(axis);
  }
  for (std::int64_t& axis : axes) axis = axis_of(axis, rank);
  Integers sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw Error("an axis stands there twice");
  }
  return axes;
}

at::Tensor from_the_start(const at::Tensor& indices, std::int64_t size) {
  const at::Tensor wide = indices.to(at::kLong);
  return at::where(wide < 0, wide + size, wide);
}

bool may_overwrite(const at::Tensor& x, at::IntArrayRef sizes) {
  return !at::GradMode::is_enabled() && is_exclusive(x) && x.is_contiguous() &&
         x.sizes() == sizes && find_scaled_values(x) == nullptr;
}

void check_size(at::IntArrayRef sizes, at::ScalarType type) {
  constexpr double kMost = 16.0 * (1 << 30);
  double bytes = static_cast<double>(c10::elementSize(type));
  for (const std::int64_t size : sizes) {
    if (size < 0) {
      throw Error("sizes " + onnx::to_string({sizes.data(), sizes.size()}) + ": one is negative");
    }
    bytes *= static_cast<double>(std::max<std::int64_t>(size, 1));  // none of many is many indices
  }
  if (bytes <= kMost) return;
  throw Error("a tensor of sizes " + onnx::to_string({sizes.data(), sizes.size()}) +
              " takes more than 16 GiB");
}

}  // namespace tensorquant::onnx_torch
