#include "tensorquant/libtorch/arithmetic/values.h"

#include <ATen/ATen.h>
#include <ATen/WrapDimUtils.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/operands.h"

namespace tensorquant {
namespace {

using namespace detail;

at::Tensor float_function(Function function, const at::Tensor& x) {
  switch (function) {
    case Function::exp:
      return at::exp(x);
    case Function::log:
      return at::log(x);
    case Function::sqrt:
      return at::sqrt(x);
    case Function::rsqrt:
      return at::rsqrt(x);
    case Function::reciprocal:
      return at::reciprocal(x);
    case Function::erf:
      return at::erf(x);
    case Function::tanh:
      return at::tanh(x);
    case Function::sigmoid:
      return at::sigmoid(x);
    case Function::silu:
      return at::silu(x);
    case Function::gelu:
      return at::gelu(x, "none");
    case Function::gelu_tanh:
      return at::gelu(x, "tanh");
    case Function::softplus:
      return at::softplus(x);
    case Function::hardsigmoid:
      return at::hardsigmoid(x);
    case Function::hardswish:
      return at::hardswish(x);
  }
  throw Error("an unknown function");
}

using Kind = BinaryOperation::Kind;

at::Tensor float_binary(Kind kind, const at::Tensor& a, const at::Tensor& b) {
  switch (kind) {
    case Kind::add:
      return a + b;
    case Kind::subtract:
      return a - b;
    case Kind::multiply:
      return a * b;
    case Kind::divide:
      return a / b;
  }
  throw Error("an unknown operation");
}

at::Tensor rounded_binary(const LayerArithmetic& layer, Kind kind, const at::Tensor& a,
                          const at::Tensor& b) {
  const auto both = at::broadcast_tensors({a, b});
  return with_gradient(run_on_values(layer, BinaryOperation{kind}, {both[0], both[1]}), a, b, {},
                       [kind](const at::Tensor& x, const at::Tensor& z, const at::Tensor&) {
                         return float_binary(kind, x, z);
                       });
}

at::Tensor softmax_along(const LayerArithmetic& layer, const at::Tensor& x, std::int64_t dim,
                         bool is_logarithm) {
  const at::Tensor last =
      x.dim() == 0 ? x.unsqueeze(at::maybe_wrap_dim(dim, 1)) : x.movedim(dim, -1);
  const RoundedResult found = run_on_values(layer, SoftmaxOperation{is_logarithm}, {last});
  const auto back = [&](const at::Tensor& y) {
    if (!y.defined()) return y;
    return x.dim() == 0 ? y.squeeze(0) : y.movedim(-1, dim).contiguous();
  };
  return with_gradient({back(found.y), back(found.outside)}, x, {}, {},
                       [=](const at::Tensor& a, const at::Tensor&, const at::Tensor&) {
                         return is_logarithm ? at::log_softmax(a, dim) : at::softmax(a, dim);
                       });
}

at::Tensor reduced(const LayerArithmetic& layer, const at::Tensor& x, at::IntArrayRef dims,
                   bool keeps_dims, bool is_mean) {
  std::vector<bool> is_reduced(static_cast<std::size_t>(x.dim()), dims.empty());
  for (const std::int64_t d : dims) {
    is_reduced[static_cast<std::size_t>(at::maybe_wrap_dim(d, x.dim()))] = true;
  }
  Sizes order, places, shape;
  for (std::int64_t d = 0; d < x.dim(); ++d) {
    const bool is_gone = is_reduced[static_cast<std::size_t>(d)];
    (is_gone ? places : order).push_back(d);
    if (!is_gone || keeps_dims) shape.push_back(is_gone ? 1 : x.size(d));
  }
  order.insert(order.end(), places.begin(), places.end());
  require(x.numel() > 0,
          "an average or a sum needs an input that is not empty, found " + shape_of(x));
  std::int64_t count = 1;
  for (const std::int64_t d : places) count *= x.size(d);
  const AveragePoolOperation pool{.kernel = {count},
                                  .stride = {count},
                                  .padding_begin = {0},
                                  .padding_end = {0},
                                  .divisor = is_mean ? std::optional<std::int64_t>() : 1};
  const RoundedResult found =
      run_on_values(layer, pool, {x.permute(order).reshape({1, x.numel() / count, count})});
  const auto shaped = [&](const at::Tensor& y) { return y.defined() ? y.reshape(shape) : y; };
  return with_gradient({shaped(found.y), shaped(found.outside)}, x, {}, {},
                       [=](const at::Tensor& a, const at::Tensor&, const at::Tensor&) {
                         if (places.empty()) return a.clone();
                         return is_mean ? at::mean(a, places, keeps_dims)
                                        : at::sum(a, places, keeps_dims);
                       });
}

}  // namespace

at::Tensor rounded_function(const LayerArithmetic& layer, Function function, const at::Tensor& x) {
  return with_gradient(run_on_values(layer, FunctionOperation{function}, {x}), x, {}, {},
                       [function](const at::Tensor& a, const at::Tensor&, const at::Tensor&) {
                         return float_function(function, a);
                       });
}

at::Tensor rounded_add(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b) {
  return rounded_binary(layer, Kind::add, a, b);
}
at::Tensor rounded_subtract(const LayerArithmetic& layer, const at::Tensor& a,
                            const at::Tensor& b) {
  return rounded_binary(layer, Kind::subtract, a, b);
}
at::Tensor rounded_multiply(const LayerArithmetic& layer, const at::Tensor& a,
                            const at::Tensor& b) {
  return rounded_binary(layer, Kind::multiply, a, b);
}
at::Tensor rounded_divide(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b) {
  return rounded_binary(layer, Kind::divide, a, b);
}

at::Tensor rounded_scale(const LayerArithmetic& layer, const at::Tensor& x, double factor) {
  return rounded_multiply(layer, x, at::scalar_tensor(factor, plain_input(x).options()));
}

at::Tensor rounded_softmax(const LayerArithmetic& layer, const at::Tensor& x, std::int64_t dim) {
  return softmax_along(layer, x, dim, /*is_logarithm=*/false);
}
at::Tensor rounded_log_softmax(const LayerArithmetic& layer, const at::Tensor& x,
                               std::int64_t dim) {
  return softmax_along(layer, x, dim, /*is_logarithm=*/true);
}

at::Tensor rounded_mean(const LayerArithmetic& layer, const at::Tensor& x, at::IntArrayRef dims,
                        bool keeps_dims) {
  return reduced(layer, x, dims, keeps_dims, /*is_mean=*/true);
}

at::Tensor rounded_sum(const LayerArithmetic& layer, const at::Tensor& x, at::IntArrayRef dims,
                       bool keeps_dims) {
  LayerArithmetic sum = layer;
  sum.arithmetic.product = Identity{};
  return reduced(sum, x, dims, keeps_dims, /*is_mean=*/false);
}

at::Tensor rounded_leaky_relu(const LayerArithmetic& layer, const at::Tensor& x, double slope) {
  return at::where(x > 0, x, rounded_scale(layer, x, slope)).contiguous();
}

at::Tensor rounded_glu(const LayerArithmetic& layer, const at::Tensor& x, std::int64_t dim) {
  require(x.dim() > 0 && x.size(dim) % 2 == 0, "expected an even number along dimension " +
                                                   std::to_string(dim) + ", found " + shape_of(x));
  const auto halves = x.chunk(2, dim);
  return rounded_multiply(layer, halves[0],
                          rounded_function(layer.part("gate"), Function::sigmoid, halves[1]));
}

}  // namespace tensorquant
