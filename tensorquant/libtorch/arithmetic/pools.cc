#include "tensorquant/libtorch/arithmetic/pools.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/operands.h"

namespace tensorquant {
namespace {

using namespace detail;

// The input of a pool, with a batch dimension or without, has numbers in each dimension from
// `first` on.
void check_pool_input(const at::Tensor& x, std::size_t dimensions, std::int64_t first) {
  const auto count = static_cast<std::int64_t>(dimensions);
  require(x.dim() == count + 1 || x.dim() == count + 2,
          "expected an input of " + std::to_string(count + 1) + " or " + std::to_string(count + 2) +
              " dimensions, found " + shape_of(x));
  const auto sizes = x.sizes().slice(static_cast<std::size_t>(first));
  require(std::find(sizes.begin(), sizes.end(), 0) == sizes.end(),
          "an average needs an input that is not empty, found " + shape_of(x));
}
Sizes spatial(const at::Tensor& x, std::size_t dimensions) {
  return x.sizes().slice(static_cast<std::size_t>(x.dim()) - dimensions).vec();
}
std::int64_t planes_of(const at::Tensor& x, std::size_t dimensions) {
  return product_of(x.sizes().slice(0, static_cast<std::size_t>(x.dim()) - dimensions));
}

}  // namespace

at::Tensor rounded_average_pool(const LayerArithmetic& layer, const at::Tensor& x,
                                const AveragePoolOperation& pool) {
  const std::size_t dimensions = pool.kernel.size();
  check_pool_input(x, dimensions, x.dim() - static_cast<std::int64_t>(dimensions) - 1);
  if (static_cast<std::size_t>(x.dim()) == dimensions + 1) {  // no batch dimension
    return rounded_average_pool(layer, x.unsqueeze(0), pool).squeeze(0);
  }
  for (std::size_t d = 0; d < dimensions; ++d) {
    require(pool.padding_begin[d] <= pool.kernel[d] / 2,
            "a padding of " + std::to_string(pool.padding_begin[d]) +
                " is more than half of a kernel of " + std::to_string(pool.kernel[d]));
    // In three dimensions libtorch lets no padding make up for it.
    require(dimensions < 3 || spatial(x, dimensions)[d] >= pool.kernel[d],
            "the kernel is larger than the input " + shape_of(x));
  }
  const RoundedResult result = run_on(layer, pool, {x}, layer.report);
  return with_gradient(
      result, x, {}, {}, [=](const at::Tensor& a, const at::Tensor&, const at::Tensor&) {
        const auto& o = pool;
        if (dimensions == 1) {
          return at::avg_pool1d(a, o.kernel, o.stride, o.padding_begin, o.ceil_mode,
                                o.count_include_pad);
        }
        const auto pooled = [&](auto... divisor) {
          return dimensions == 2 ? at::avg_pool2d(a, o.kernel, o.stride, o.padding_begin,
                                                  o.ceil_mode, o.count_include_pad, divisor...)
                                 : at::avg_pool3d(a, o.kernel, o.stride, o.padding_begin,
                                                  o.ceil_mode, o.count_include_pad, divisor...);
        };
        return o.divisor ? pooled(*o.divisor) : pooled();
      });
}

at::Tensor rounded_adaptive_average_pool(
    const LayerArithmetic& layer, const at::Tensor& x,
    const std::vector<std::optional<std::int64_t>>& output_size) {
  const std::size_t dimensions = output_size.size();
  // In up to two dimensions libtorch takes any number of channels.
  check_pool_input(x, dimensions,
                   dimensions < 3 ? x.dim() - static_cast<std::int64_t>(dimensions) : 1);
  const Sizes input = spatial(x, dimensions);
  Sizes sizes(dimensions);
  for (std::size_t d = 0; d < dimensions; ++d) sizes[d] = output_size[d].value_or(input[d]);
  const AveragePool pool = adaptive_average_pool_of(planes_of(x, dimensions), input, sizes);
  const std::shared_ptr<const ScaledValues> values = scaled_values_of(x);
  const at::Tensor plain_x = values != nullptr ? values->q : plain_input(x);
  Sizes shape = x.sizes().slice(0, static_cast<std::size_t>(x.dim()) - dimensions).vec();
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  const at::Tensor y = at::empty(shape, plain_x.options());
  const at::Tensor outside = mask_for(layer, shape);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const auto scaled = values != nullptr ? std::optional(values->operand<T>()) : std::nullopt;
    average_pool(layer.arithmetic, layer.context, pool, pointer<T>(plain_x), y.data_ptr<T>(),
                 layer.report, data_of(outside), scaled ? &*scaled : nullptr);
  });
  return with_gradient({y, outside}, x, {}, {},
                       [=](const at::Tensor& a, const at::Tensor&, const at::Tensor&) {
                         if (dimensions == 1) return at::adaptive_avg_pool1d(a, sizes);
                         if (dimensions == 2) return at::adaptive_avg_pool2d(a, sizes);
                         return at::adaptive_avg_pool3d(a, sizes);
                       });
}

}  // namespace tensorquant
