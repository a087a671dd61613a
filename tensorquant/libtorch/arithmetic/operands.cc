#include "tensorquant/libtorch/arithmetic/operands.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/tensors/scaled_values.h"

namespace tensorquant::detail {

at::Tensor plain(const at::Tensor& tensor, const at::Tensor& input) {
  if (!tensor.defined()) return tensor;
  if (tensor.scalar_type() != input.scalar_type()) {
    throw Error("rounded arithmetic needs tensors of one type, found " +
                std::string(at::toString(input.scalar_type())) + " and " +
                at::toString(tensor.scalar_type()));
  }
  return tensor.detach().contiguous();
}

at::Tensor plain_input(const at::Tensor& x) {
  const bool is_supported = x.device().is_cpu() && x.layout() == at::kStrided &&
                            (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
  if (!is_supported) throw Error("rounded arithmetic needs a float32 or float64 CPU tensor");
  return x.detach().contiguous();
}

at::Tensor mask_for(const LayerArithmetic& layer, at::IntArrayRef shape) {
  return layer.clips_gradient && at::GradMode::is_enabled()
             ? at::zeros(shape, at::TensorOptions().dtype(at::kBool))
             : at::Tensor();
}

bool* data_of(const at::Tensor& mask) { return mask.defined() ? mask.data_ptr<bool>() : nullptr; }

RangeReport* report_for(const LayerArithmetic& layer, const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? layer.report : nullptr;
}

template <class T>
std::optional<ScaledOperand<T>> operand_of(const std::shared_ptr<const ScaledValues>& values) {
  if (values == nullptr) return std::nullopt;
  return values->operand<T>();
}

RoundedResult run_on(const LayerArithmetic& layer, const Operation& operation,
                     std::initializer_list<at::Tensor> tensors, RangeReport* report) {
  const at::Tensor& x = *tensors.begin();
  std::vector<TensorShape> shapes;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) shapes.push_back(tensor.sizes().vec());
  }
  const TensorShape shape = result_shape(operation, shapes);
  const auto options = plain_input(x).options();
  const RoundedResult result = {at::empty(shape, options), mask_for(layer, shape)};
  std::vector<at::Tensor> inputs;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) inputs.push_back(plain(tensor, x));
  }
  // Of the data and the weights; arithmetic sees the elements of what has scales.
  const auto data_values = scaled_values_of(x);
  const auto weight_values = inputs.size() > 1 ? scaled_values_of(*(tensors.begin() + 1)) : nullptr;
  if (data_values != nullptr) inputs[0] = data_values->q;
  if (weight_values != nullptr) inputs[1] = weight_values->q;
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    std::vector<const T*> data;
    for (const at::Tensor& input : inputs) data.push_back(pointer<T>(input));
    const auto data_operand = operand_of<T>(data_values);
    const auto weight_operand = operand_of<T>(weight_values);
    run_operation<T>(operation, layer.arithmetic, layer.context, shapes, data,
                     result.y.data_ptr<T>(), report, data_of(result.outside),
                     {.data = data_operand ? &*data_operand : nullptr,
                      .weights = weight_operand ? &*weight_operand : nullptr});
  });
  return result;
}

std::int64_t product_of(at::IntArrayRef sizes) {
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) product *= size;
  return product;
}

void require(bool good, const std::string& reason) {
  if (!good) throw Error(reason);
}

std::string shape_of(const at::Tensor& x) {
  std::string text;
  for (const std::int64_t size : x.sizes()) {
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  }
  return "(" + text + ")";
}

}  // namespace tensorquant::detail
