#include "tensorquant/torch/rounded_arithmetic.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "tensorquant/arithmetic/layers/add.h"
#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/arithmetic/layers/batch_norm.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Sizes = std::vector<std::int64_t>;
// The float layer, of up to three tensors.
using FloatForward =
    std::function<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>;

struct SavedForward : torch::CustomClassHolder {
  explicit SavedForward(FloatForward function) : function(std::move(function)) {}
  FloatForward function;
};

// A node of the graph takes no undefined tensors.
bool is_missing(const at::Tensor& x) { return x.dim() == 1 && x.size(0) == 0; }
at::Tensor or_missing(const at::Tensor& x) { return x.defined() ? x : at::empty({0}); }

// A result that was computed without a graph.
struct Result {
  at::Tensor y;
  at::Tensor outside;  // true where no gradient passes; undefined: nowhere
};

// Gives a result the gradients that function(a, b, c) has.
struct RoundedFunction : torch::autograd::Function<RoundedFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* graph, const at::Tensor& a,
                            const at::Tensor& b, const at::Tensor& c, const Result& result,
                            const FloatForward& function) {
    graph->set_materialize_grads(false);
    graph->save_for_backward({a, b, c, result.outside});
    graph->saved_data["function"] =
        at::IValue::make_capsule(c10::make_intrusive<SavedForward>(function));
    return result.y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* graph,
                                                 torch::autograd::variable_list gradients) {
    torch::autograd::variable_list result(5);
    if (!gradients[0].defined()) return result;
    if (at::GradMode::is_enabled()) {
      throw Error("the gradient of rounded arithmetic has no gradient of its own");
    }
    const auto capsule = graph->saved_data["function"].toCapsule();
    const FloatForward& function = static_cast<const SavedForward&>(*capsule).function;
    const auto saved = graph->get_saved_variables();
    at::Tensor dy = gradients[0];
    if (saved[3].defined()) dy = dy.masked_fill(saved[3], 0);

    at::Tensor inputs[3];
    torch::autograd::variable_list wanted;
    for (std::size_t i = 0; i < 3; ++i) {
      if (i > 0 && is_missing(saved[i])) continue;
      inputs[i] = saved[i].detach();
      if (!graph->needs_input_grad(i)) continue;
      inputs[i].requires_grad_();
      wanted.push_back(inputs[i]);
    }
    const at::AutoGradMode with_gradients(true);
    const at::Tensor y = function(inputs[0], inputs[1], inputs[2]);
    const auto found = torch::autograd::grad({y}, wanted, {dy}, /*retain_graph=*/false,
                                             /*create_graph=*/false, /*allow_unused=*/true);
    for (std::size_t i = 0, next = 0; i < 3; ++i) {
      if (inputs[i].defined() && inputs[i].requires_grad()) result[i] = found[next++];
    }
    return result;
  }
};

bool needs_gradient(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

// The rounded result with the float layer's gradients, if any are asked for.
at::Tensor with_gradient(const Result& result, const at::Tensor& a, const at::Tensor& b,
                         const at::Tensor& c, const FloatForward& function) {
  if (!at::GradMode::is_enabled() ||
      !(needs_gradient(a) || needs_gradient(b) || needs_gradient(c))) {
    return result.y;
  }
  return RoundedFunction::apply(a, or_missing(b), or_missing(c), result, function);
}

// True values for the outputs whose last sum is outside, where that is asked for.
at::Tensor mask_for(const LayerArithmetic& layer, at::IntArrayRef shape) {
  return layer.clips_gradient && at::GradMode::is_enabled()
             ? at::zeros(shape, at::TensorOptions().dtype(at::kBool))
             : at::Tensor();
}
bool* data_of(const at::Tensor& mask) { return mask.defined() ? mask.data_ptr<bool>() : nullptr; }

// The tensor as the core takes it: of the input's type, in C order, without a graph.
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

// run(zero of the type of x).
template <class Run>
void with_type(const at::Tensor& x, const Run& run) {
  if (x.scalar_type() == at::kFloat) {
    run(0.0f);
  } else {
    run(0.0);
  }
}

template <class T>
const T* pointer(const at::Tensor& x) {
  return x.defined() ? x.data_ptr<T>() : nullptr;
}

template <class T>
std::span<const T> span_of(const at::Tensor& x) {
  if (!x.defined()) return {};
  return {x.data_ptr<T>(), static_cast<std::size_t>(x.numel())};
}

// Ranges are those of float32 tensors.
RangeReport* report_for(const LayerArithmetic& layer, const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? layer.report : nullptr;
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
  for (const std::int64_t size : x.sizes())
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  return "(" + text + ")";
}

at::Tensor float_convolution(const ConvolutionOperation& o, const at::Tensor& x,
                             const at::Tensor& w, const at::Tensor& bias) {
  const std::size_t dimensions = o.stride.size();
  at::Tensor padded = x;
  Sizes padding = o.padding_begin;
  if (o.padding_begin != o.padding_end) {
    Sizes both;  // from the last dimension on
    for (std::size_t d = dimensions; d-- > 0;) {
      both.insert(both.end(), {o.padding_begin[d], o.padding_end[d]});
    }
    padded = at::constant_pad_nd(x, both);
    padding.assign(dimensions, 0);
  }
  return at::convolution(padded, w, bias, o.stride, padding, o.dilation, o.is_transposed,
                         o.is_transposed ? o.output_padding : Sizes(dimensions, 0), o.groups);
}

// The operation on layers' tensors, of which the last ones may be undefined, without gradients.
Result run_on(const LayerArithmetic& layer, const Operation& operation,
              std::initializer_list<at::Tensor> tensors, RangeReport* report) {
  const at::Tensor& x = *tensors.begin();
  std::vector<TensorShape> shapes;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) shapes.push_back(tensor.sizes().vec());
  }
  const TensorShape shape = result_shape(operation, shapes);
  const auto options = plain_input(x).options();
  const Result result = {at::empty(shape, options), mask_for(layer, shape)};
  std::vector<at::Tensor> inputs;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) inputs.push_back(plain(tensor, x));
  }
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    std::vector<const T*> data;
    for (const at::Tensor& input : inputs) data.push_back(pointer<T>(input));
    run_operation<T>(operation, layer.arithmetic, layer.context, shapes, data,
                     result.y.data_ptr<T>(), report, data_of(result.outside));
  });
  return result;
}

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

// A layer's tensor as the core takes it: one number for each of `count` outputs or channels, or
// nothing.
at::Tensor plain_vector(const char* name, const at::Tensor& tensor, std::int64_t count,
                        const at::Tensor& input) {
  require(!tensor.defined() || (tensor.dim() == 1 && tensor.size(0) == count),
          "expected a " + std::string(name) + " of (" + std::to_string(count) + "), found " +
              (tensor.defined() ? shape_of(tensor) : ""));
  return plain(tensor, input);
}

}  // namespace

at::Tensor rounded_linear(const LayerArithmetic& layer, const at::Tensor& x, const at::Tensor& w,
                          const at::Tensor& bias) {
  return with_gradient(run_on(layer, LinearOperation{}, {x, w, bias}, report_for(layer, x)), x, w,
                       bias, [](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return at::linear(a, b, c);
                       });
}

at::Tensor rounded_convolution(const LayerArithmetic& layer, const at::Tensor& x,
                               const at::Tensor& w, const at::Tensor& bias,
                               const ConvolutionOperation& convolution) {
  require(w.dim() >= 3, "expected weights of 3 or more dimensions, found " + shape_of(w));
  if (x.dim() == w.dim() - 1) {  // no batch dimension
    return rounded_convolution(layer, x.unsqueeze(0), w, bias, convolution).squeeze(0);
  }
  require(x.dim() == w.dim(),
          "expected an input of " + std::to_string(w.dim()) + " dimensions, found " + shape_of(x));
  require(x.numel() > 0 || x.size(0) == 0 || x.size(1) == 0,
          "expected an input of which at most batch or channels are empty, found " + shape_of(x));
  ConvolutionOperation operation = convolution;
  if (operation.output_padding.size() == 1) {  // stands for all dimensions, as in libtorch
    operation.output_padding.assign(operation.stride.size(), operation.output_padding[0]);
  }
  const Result result = run_on(layer, operation, {x, w, bias}, report_for(layer, x));
  require(x.numel() == 0 || product_of(result.y.sizes().slice(2)) > 0,
          "no output is left of " + shape_of(x));
  return with_gradient(result, x, w, bias,
                       [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return float_convolution(operation, a, b, c);
                       });
}

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
  const Result result = run_on(layer, pool, {x}, layer.report);
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
  const at::Tensor plain_x = plain_input(x);
  Sizes shape = x.sizes().slice(0, static_cast<std::size_t>(x.dim()) - dimensions).vec();
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  const at::Tensor y = at::empty(shape, plain_x.options());
  const at::Tensor outside = mask_for(layer, shape);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    average_pool(layer.arithmetic, layer.context, pool, pointer<T>(plain_x), y.data_ptr<T>(),
                 layer.report, data_of(outside));
  });
  return with_gradient({y, outside}, x, {}, {},
                       [=](const at::Tensor& a, const at::Tensor&, const at::Tensor&) {
                         if (dimensions == 1) return at::adaptive_avg_pool1d(a, sizes);
                         if (dimensions == 2) return at::adaptive_avg_pool2d(a, sizes);
                         return at::adaptive_avg_pool3d(a, sizes);
                       });
}

at::Tensor rounded_batch_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              const at::Tensor& mean, const at::Tensor& variance,
                              const at::Tensor& gamma, const at::Tensor& beta, double epsilon) {
  require(x.dim() >= 2, "expected an input of (batch, channels, ...), found " + shape_of(x));
  const bool is_of_batch = !mean.defined();
  const std::int64_t channels = x.size(1);
  require(!is_of_batch || x.size(0) * product_of(x.sizes().slice(2)) != 1,
          "expected more than one value for each channel in training, found " + shape_of(x));
  const at::Tensor input = plain_input(x);
  // libtorch looks at the channels of inputs with numbers alone.
  const auto for_channels = [&](const char* name, const at::Tensor& numbers) {
    return x.numel() == 0 ? plain(numbers, x) : plain_vector(name, numbers, channels, x);
  };
  const at::Tensor scale = for_channels("weight", gamma), shift = for_channels("bias", beta);
  at::Tensor means, variances;
  if (is_of_batch) {
    Sizes others = {0};
    for (std::int64_t d = 2; d < x.dim(); ++d) others.push_back(d);
    means = input.mean(others);
    variances = input.var(others, /*unbiased=*/false);
  } else {
    means = for_channels("running mean", mean);
    variances = for_channels("running variance", variance);
  }
  const at::Tensor y = at::empty(input.sizes(), input.options());
  const at::Tensor outside = mask_for(layer, input.sizes());
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const BatchNorm<T> norm{span_of<T>(means), span_of<T>(variances), span_of<T>(scale),
                            span_of<T>(shift), static_cast<T>(epsilon)};
    batch_norm(layer.arithmetic, layer.context, norm, product_of(x.sizes().slice(2)),
               span_of<T>(input), std::span<T>(y.data_ptr<T>(), span_of<T>(input).size()),
               report_for(layer, x), data_of(outside));
  });
  return with_gradient({y, outside}, x, gamma, beta,
                       [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return at::batch_norm(a, b, c, mean, variance, is_of_batch, /*momentum=*/0,
                                               epsilon,
                                               /*cudnn_enabled=*/false);
                       });
}

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
