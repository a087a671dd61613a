#include "tensorquant/arithmetic/layers/operation.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/layers/operation_kinds.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr const char* kNoDimension = "an input needs a dimension besides batch and channels";

void check_bias(const std::vector<TensorShape>& inputs, std::int64_t outputs) {
  if (inputs.size() < 3) return;
  require(inputs[2].size() == 1 && agree(inputs[2][0], outputs),
          "expected a bias of (" + std::to_string(outputs) + "), found " + to_text(inputs[2]));
}

void check_dimensions(const char* what, const TensorShape& shape, std::size_t dimensions) {
  require(shape.size() == dimensions, "expected " + std::string(what) + " of " +
                                          std::to_string(dimensions) + " dimensions, found " +
                                          to_text(shape));
}

void check_lengths(std::size_t dimensions,
                   std::initializer_list<const std::vector<std::int64_t>*> lists) {
  for (const auto* list : lists) {
    require(list->size() == dimensions, "the operation's sizes differ in number");
  }
}

// The spatial sizes of the result, behind what `shape` has already: size(d) where the input's is
// known.
template <class Size>
TensorShape with_sizes(TensorShape shape, const TensorShape& x, const TensorShape& kernel,
                       const Size& size) {
  for (std::size_t d = 0; d < kernel.size(); ++d) {
    if (x[d + 2] == kUnknownSize) {
      shape.push_back(kUnknownSize);
      continue;
    }
    try {
      shape.push_back(size(d));
    } catch (const Error& error) {
      throw Error(std::string(error.what()) + ": input " + to_text(x) + ", kernel " +
                  to_text(kernel));
    }
  }
  return shape;
}

void check_kind(const LinearOperation&) {}

TensorShape shape_of(const LinearOperation&, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 2, 3);
  const TensorShape &x = inputs[0], &w = inputs[1];
  require(w.size() == 2, "expected weights of (outputs x inputs), found " + to_text(w));
  require(!x.empty() && agree(x.back(), w[1]),
          "expected an input of (... x " + std::to_string(w[1]) + "), found " + to_text(x));
  check_bias(inputs, w[0]);
  TensorShape shape = x;
  shape.back() = w[0];
  return shape;
}

template <class T>
std::optional<SumPlan> run_on(const LinearOperation&, const Arithmetic& arithmetic,
                              const ArithmeticContext& context,
                              const std::vector<TensorShape>& shapes,
                              const std::vector<const T*>& inputs, T* y, RangeReport* report,
                              bool* outside, const ScaledOperands<T>& scaled) {
  const TensorShape &x = shapes[0], &w = shapes[1];
  const T* const bias = inputs.size() > 2 ? inputs[2] : nullptr;
  const std::int64_t batch = volume("the input", {x.data(), x.size() - 1});
  MatrixScales<T> scales;
  if (scaled.data != nullptr) {
    scales.data = scales_along_k("the input's scales", *scaled.data, batch, w[1]);
  }
  if (scaled.weights != nullptr) {
    scales.weights = scales_along_k("the weights' scales", *scaled.weights, w[0], w[1]);
  }
  return linear(of_elements(arithmetic, scaled), context, batch, w[1], w[0], inputs[0], inputs[1],
                bias, y, report, outside, scales);
}

// Of known shapes.
Convolution convolution_of(const ConvolutionOperation& operation,
                           const std::vector<TensorShape>& inputs) {
  const TensorShape &x = inputs[0], &w = inputs[1];
  return {.batch = x[0],
          .in_channels = x[1],
          .out_channels = operation.is_transposed ? w[1] * operation.groups : w[0],
          .groups = operation.groups,
          .input = {x.begin() + 2, x.end()},
          .kernel = {w.begin() + 2, w.end()},
          .stride = operation.stride,
          .dilation = operation.dilation,
          .padding_begin = operation.padding_begin,
          .padding_end = operation.padding_end,
          .is_transposed = operation.is_transposed,
          .output_padding = operation.output_padding};
}

void check_kind(const ConvolutionOperation& o) {
  check_lengths(o.stride.size(), {&o.dilation, &o.padding_begin, &o.padding_end});
  require(!o.stride.empty(), kNoDimension);
  require(o.groups >= 1, std::to_string(o.groups) + " groups");
  if (!o.is_transposed) return;
  check_lengths(o.stride.size(), {&o.output_padding});
  require(o.padding_begin == o.padding_end,
          "a transposed convolution pads both sides alike; output_padding adds to the end");
}

TensorShape shape_of(const ConvolutionOperation& operation,
                     const std::vector<TensorShape>& inputs) {
  check_count(inputs, 2, 3);
  const TensorShape &x = inputs[0], &w = inputs[1];
  const auto& o = operation;
  const std::size_t dimensions = o.stride.size();
  check_dimensions("an input", x, dimensions + 2);
  check_dimensions("weights", w, dimensions + 2);

  const auto in_groups = [&](std::int64_t size) {
    return size == kUnknownSize ? size : volume("the kernel", TensorShape{size, o.groups});
  };
  const std::int64_t channels = o.is_transposed ? w[0] : in_groups(w[1]);
  const std::int64_t outputs = o.is_transposed ? in_groups(w[1]) : w[0];
  require(agree(x[1], channels),
          "expected an input of " + std::to_string(channels) + " channels, found " + to_text(x));
  require(w[0] == kUnknownSize || w[0] % o.groups == 0,
          std::to_string(w[0]) + (o.is_transposed ? " input" : " output") +
              " channels cannot be divided into " + std::to_string(o.groups) + " groups");
  check_bias(inputs, outputs);
  const TensorShape kernel(w.begin() + 2, w.end());
  const TensorShape shape = with_sizes({x[0], outputs}, x, kernel, [&](std::size_t d) {
    if (kernel[d] == kUnknownSize) return kUnknownSize;
    const Window window = {.kernel = kernel[d],
                           .stride = o.stride[d],
                           .dilation = o.dilation[d],
                           .padding_begin = o.padding_begin[d],
                           .padding_end = o.padding_end[d]};
    return o.is_transposed ? transposed_size(window, x[d + 2], o.output_padding[d])
                           : positions(window, x[d + 2]);
  });
  if (is_known(x) && is_known(w)) convolution_of(o, inputs).output();  // or it is too large
  return shape;
}

template <class T>
std::optional<SumPlan> run_on(const ConvolutionOperation& operation, const Arithmetic& arithmetic,
                              const ArithmeticContext& context,
                              const std::vector<TensorShape>& shapes,
                              const std::vector<const T*>& inputs, T* y, RangeReport* report,
                              bool* outside, const ScaledOperands<T>& scaled) {
  const T* const bias = inputs.size() > 2 ? inputs[2] : nullptr;
  return convolve(arithmetic, context, convolution_of(operation, shapes), inputs[0], inputs[1],
                  bias, y, report, outside, scaled);
}

AveragePoolShape pool_of(const AveragePoolOperation& operation, const TensorShape& x) {
  return {.planes = volume("the input", TensorShape{x[0], x[1]}),
          .input = {x.begin() + 2, x.end()},
          .kernel = operation.kernel,
          .stride = operation.stride,
          .padding_begin = operation.padding_begin,
          .padding_end = operation.padding_end,
          .ceil_mode = operation.ceil_mode,
          .count_include_pad = operation.count_include_pad,
          .divisor = operation.divisor};
}

void check_kind(const AveragePoolOperation& o) {
  check_lengths(o.kernel.size(), {&o.stride, &o.padding_begin, &o.padding_end});
  require(!o.kernel.empty(), kNoDimension);
  require(o.divisor != 0, "the divisor is 0");
}

TensorShape shape_of(const AveragePoolOperation& operation,
                     const std::vector<TensorShape>& inputs) {
  check_count(inputs, 1, 1);
  const TensorShape& x = inputs[0];
  const auto& o = operation;
  const std::size_t dimensions = o.kernel.size();
  check_dimensions("an input", x, dimensions + 2);
  const TensorShape shape = with_sizes({x[0], x[1]}, x, o.kernel, [&](std::size_t d) {
    return positions({.kernel = o.kernel[d],
                      .stride = o.stride[d],
                      .padding_begin = o.padding_begin[d],
                      .padding_end = o.padding_end[d]},
                     x[d + 2], o.ceil_mode);
  });
  if (is_known(x)) pool_of(o, x).output();  // or it is too large
  return shape;
}

template <class T>
std::optional<SumPlan> run_on(const AveragePoolOperation& operation, const Arithmetic& arithmetic,
                              const ArithmeticContext& context,
                              const std::vector<TensorShape>& shapes,
                              const std::vector<const T*>& inputs, T* y, RangeReport* report,
                              bool* outside, const ScaledOperands<T>& scaled) {
  average_pool(arithmetic, context, average_pool_of(pool_of(operation, shapes[0])), inputs[0], y,
               report, outside, scaled.data);
  return {};
}

}  // namespace

void check_operation(const Operation& operation) {
  std::visit([](const auto& kind) { check_kind(kind); }, operation);
}

TensorShape result_shape(const Operation& operation, const std::vector<TensorShape>& inputs) {
  check_operation(operation);
  const TensorShape shape =
      std::visit([&](const auto& kind) { return shape_of(kind, inputs); }, operation);
  TensorShape known = shape;
  std::erase(known, kUnknownSize);
  volume("the output", known);
  return shape;
}

template <class T>
std::optional<SumPlan> run_operation(const Operation& operation, const Arithmetic& arithmetic,
                                     const ArithmeticContext& context,
                                     const std::vector<TensorShape>& shapes,
                                     const std::vector<const T*>& inputs, T* y, RangeReport* report,
                                     bool* outside, const ScaledOperands<T>& scaled) {
  result_shape(operation, shapes);  // throws where they do not fit
  require(std::all_of(shapes.begin(), shapes.end(), is_known), "a size is not known");
  return std::visit(
      [&](const auto& kind) {
        return run_on(kind, arithmetic, context, shapes, inputs, y, report, outside, scaled);
      },
      operation);
}

#define TENSORQUANT_INSTANTIATE(T)                                                            \
  template std::optional<SumPlan> run_operation(                                              \
      const Operation&, const Arithmetic&, const ArithmeticContext&,                          \
      const std::vector<TensorShape>&, const std::vector<const T*>&, T*, RangeReport*, bool*, \
      const ScaledOperands<T>&)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant
