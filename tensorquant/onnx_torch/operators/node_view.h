#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_NODE_VIEW_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_NODE_VIEW_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/onnx/graph/graph.h"

namespace tensorquant::onnx_torch {

using Integers = std::vector<std::int64_t>;
using Tensors = std::vector<at::Tensor>;  // undefined for what is left out
// What a node computes. Everything that does not depend on the inputs' numbers was done when it was
// made. It may overwrite inputs that nobody else holds: see may_overwrite().
using Function = std::function<Tensors(Tensors)>;

// A node while its function is made. An Error gives the reason alone; who makes the functions of a
// graph adds the node.
class NodeView {
 public:
  // `constants`: of each input its tensor if it is a constant, else undefined. `types`: of each
  // input, undefined where it is not known.
  NodeView(const onnx::Node& node, Tensors constants, std::vector<onnx::DataType> types)
      : node_(node), constants_(std::move(constants)), types_(std::move(types)) {}

  std::int64_t version() const { return node_.version; }
  const std::string& op_type() const { return node_.op_type; }
  std::size_t input_count() const { return node_.inputs.size(); }
  std::size_t output_count() const { return node_.outputs.size(); }
  bool has_input(std::size_t i) const {
    return i < node_.inputs.size() && node_.inputs[i] != onnx::kNoValue;
  }
  bool has_output(std::size_t i) const {
    return i < node_.outputs.size() && node_.outputs[i] != onnx::kNoValue;
  }
  // Undefined if it is none.
  at::Tensor constant(std::size_t i) const {
    return i < constants_.size() ? constants_[i] : at::Tensor();
  }

  onnx::DataType input_type(std::size_t i) const {
    return i < types_.size() ? types_[i] : onnx::DataType::undefined;
  }

  bool has(std::string_view name) const { return find_attribute(node_, name) != nullptr; }
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double number(std::string_view name, double otherwise) const;
  std::string text(std::string_view name, const std::string& otherwise) const;
  Integers integers(std::string_view name, Integers otherwise = {}) const;
  std::vector<double> numbers(std::string_view name) const;  // empty if it is not there
  std::vector<std::string> texts(std::string_view name) const;
  const onnx::Tensor* tensor(std::string_view name) const;  // null if it is not there

 private:
  const onnx::Attribute* find(std::string_view name, onnx::AttributeType type) const;

  const onnx::Node& node_;
  Tensors constants_;
  std::vector<onnx::DataType> types_;
};

inline bool is_given(const Tensors& inputs, std::size_t i) {
  return i < inputs.size() && inputs[i].defined();
}

// Undefined where it is left out.
inline at::Tensor optional_input(const Tensors& inputs, std::size_t i) {
  return is_given(inputs, i) ? inputs[i] : at::Tensor();
}

// A list of integers that a node takes from an attribute or an input; read once if it is constant.
class IntegerList {
 public:
  IntegerList(Integers values) : known_(true), values_(std::move(values)) {}
  // From input i; `otherwise` where it is left out.
  IntegerList(const NodeView& node, std::size_t i, Integers otherwise = {});

  Integers of(const Tensors& inputs) const;

 private:
  bool known_ = false;
  Integers values_;
  std::size_t input_ = 0;
};

// The axes of a node: an attribute before operator set `with_input`, then input 1.
IntegerList axes_of(const NodeView& node, std::int64_t with_input);

// The integer of a tensor that holds one; Error if it holds more or none.
std::int64_t integer_of(const at::Tensor& tensor);

// An attribute that is 1 or more; Error if it is not.
std::int64_t positive(const NodeView& node, std::string_view name, std::int64_t otherwise);

Integers integers_of(const at::Tensor& tensor);

// The constant as a tensor with memory of its own, of its held_type(). Error for types that are not
// computed with, and for external data that are not loaded.
at::Tensor tensor_of(const onnx::Tensor& tensor);
at::ScalarType scalar_type_of(onnx::DataType type);

// An axis from the end counts down from the rank. Error if there is no such axis.
std::int64_t axis_of(std::int64_t axis, std::int64_t rank);
// The same for each of a list, which may be in any order; none stands for all.
Integers all_axes_of(Integers axes, std::int64_t rank);

// Indices, which may count from the end, from the start on.
at::Tensor from_the_start(const at::Tensor& indices, std::int64_t size);

// Whether a result of x's type and of these sizes may be written over x: nobody else sees x, and no
// gradient is to come.
bool may_overwrite(const at::Tensor& x, at::IntArrayRef sizes);

// Error if a tensor of such sizes would take more memory than any model needs: sizes that a file
// tells are not to be believed.
void check_size(at::IntArrayRef sizes, at::ScalarType type);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_NODE_VIEW_H_
