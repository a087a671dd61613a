#include "tensorquant/libtorch/arithmetic/add.h"

#include <ATen/ATen.h>

#include <span>

#include "tensorquant/arithmetic/layers/add.h"
#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/operands.h"

namespace tensorquant {

using namespace detail;

at::Tensor rounded_add(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b) {
  const auto both = at::broadcast_tensors({a, b});
  const at::Tensor first = plain_input(both[0]), second = plain(both[1], both[0]);
  const at::Tensor y = at::empty(first.sizes(), first.options());
  const at::Tensor outside = mask_for(layer, first.sizes());
  with_type(first, [&](auto zero) {
    using T = decltype(zero);
    rounded_add(layer.arithmetic, layer.context, span_of<T>(first), span_of<T>(second),
                std::span<T>(y.data_ptr<T>(), span_of<T>(first).size()), report_for(layer, first),
                data_of(outside));
  });
  return with_gradient(
      {y, outside}, a, b, {},
      [](const at::Tensor& x, const at::Tensor& z, const at::Tensor&) { return x + z; });
}

}  // namespace tensorquant
