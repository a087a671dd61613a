#include "tensorquant/libtorch/arithmetic/operands.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <memory>
#include <optional>

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

namespace {

template <class T>
std::optional<ScaledOperand<T>> operand_of(const std::shared_ptr<const ScaledValues>& values) {
  if (values == nullptr) return std::nullopt;
  return values->operand<T>();
}

// What the data and the weights are made of; null for values.
using Elements = std::array<std::shared_ptr<const ScaledValues>, 2>;

RoundedResult run(const LayerArithmetic& layer, const Operation& operation,
                  std::initializer_list<at::Tensor> tensors, RangeReport* report,
                  const Elements& elements) {
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
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (elements[i] != nullptr) inputs[i] = elements[i]->q;
  }
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    std::vector<const T*> data;
    for (const at::Tensor& input : inputs) data.push_back(pointer<T>(input));
    const auto data_operand = operand_of<T>(elements[0]);
    const auto weight_operand = operand_of<T>(elements[1]);
    const std::optional<SumPlan> plan =
        run_operation<T>(operation, layer.arithmetic, layer.context, shapes, data,
                         result.y.data_ptr<T>(), report, data_of(result.outside),
                         {.data = data_operand ? &*data_operand : nullptr,
                          .weights = weight_operand ? &*weight_operand : nullptr});
    if (plan && layer.uses != nullptr) add_uses(*layer.uses, {{*plan, 1}});
  });
  return result;
}

}  // namespace

RoundedResult run_on(const LayerArithmetic& layer, const Operation& operation,
                     std::initializer_list<at::Tensor> tensors, RangeReport* report) {
  const at::Tensor* const all = tensors.begin();
  const bool has_weights = tensors.size() > 1 && all[1].defined();
  return run(layer, operation, tensors, report,
             {scaled_values_of(all[0]), has_weights ? scaled_values_of(all[1]) : nullptr});
}

RoundedResult run_on_values(const LayerArithmetic& layer, const Operation& operation,
                            std::initializer_list<at::Tensor> tensors) {
  LayerArithmetic of_values = layer;
  of_values.arithmetic.accumulator = layer.arithmetic.last_accumulator();
  of_values.arithmetic.outer.reset();
  of_values.arithmetic.weight_min_exponent.reset();
  return run(of_values, operation, tensors, report_for(layer, *tensors.begin()), {});
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
