#ifndef TENSORQUANT_LIBTORCH_TENSORS_SCALED_VALUES_H_
#define TENSORQUANT_LIBTORCH_TENSORS_SCALED_VALUES_H_

// What a format with scales made of a tensor, for rounded arithmetic, which sees elements and
// scales apart. It is kept with the tensor's memory: views have it, copies and results do not.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// Element i of the tensor, in C order, is q[i] times the scale of its group. Both are tensors of
// the tensor's type; q has its shape.
struct ScaledValues {
  at::Tensor q, scales;
  Grouping grouping;
  std::optional<int> min_exponent = {};  // of q
  std::string loss = {};  // why nothing of this is known, for people to read; "" where it is

  template <class T>
  ScaledOperand<T> operand() const {
    const auto span = [](const at::Tensor& x) {
      return std::span<const T>(x.data_ptr<T>(), static_cast<std::size_t>(x.numel()));
    };
    return {span(q), span(scales), grouping, min_exponent};
  }
};

// As quantize_consuming(); the result keeps its elements and scales, if the format has scales.
at::Tensor quantize_with_elements(at::Tensor&& x, const std::shared_ptr<const Quantizer>& quantizer,
                                  const Context& context);

// What x is made of; null where no quantizer with scales made it. There is a loss where it was
// changed since, or is a view in another order.
std::shared_ptr<const ScaledValues> find_scaled_values(const at::Tensor& x);
// The same for arithmetic, which needs it: throws an Error where there is a loss.
std::shared_ptr<const ScaledValues> scaled_values_of(const at::Tensor& x);

// Lets y = layer(x) keep what it is made of, for a layer that only moves values and an x made of
// `values`. Where the layer mixes groups with scales of their own there is a loss in this place.
void carry_elements(const ScaledValues& values, const at::Tensor& y,
                    const std::function<at::Tensor(const at::Tensor&)>& layer,
                    const std::string& place);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_TENSORS_SCALED_VALUES_H_
