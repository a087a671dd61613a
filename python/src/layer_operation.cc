#include "python/src/layer_operation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/base/error.h"

namespace tensorquant::python {
namespace {

using Kind = LayerOperation::Kind;

constexpr std::int64_t kUnknown = -1;

void require(bool good, const std::string& reason) {
  if (!good) throw Error(reason);
}

std::string to_text(const Sizes& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "" : " x ") + (size == kUnknown ? "?" : std::to_string(size));
  }
  return "(" + text + ")";
}

bool agree(std::int64_t a, std::int64_t b) { return a == b || a == kUnknown || b == kUnknown; }

void check_inputs(const LayerOperation& operation, const std::vector<Sizes>& inputs) {
  const std::size_t least = operation.kind == Kind::average_pool ? 1 : 2;
  const std::size_t most = operation.kind == Kind::average_pool ? 1 : 3;
  require(inputs.size() >= least && inputs.size() <= most,
          "expected " + std::to_string(least) + " to " + std::to_string(most) + " tensors, found " +
              std::to_string(inputs.size()));
}

void check_bias(const std::vector<Sizes>& inputs, std::int64_t outputs) {
  if (inputs.size() < 3) return;
  require(inputs[2].size() == 1 && agree(inputs[2][0], outputs),
          "expected a bias of (" + std::to_string(outputs) + "), found " + to_text(inputs[2]));
}

Sizes linear_shape(const std::vector<Sizes>& inputs) {
  const Sizes &x = inputs[0], &w = inputs[1];
  require(w.size() == 2, "expected weights of (outputs x inputs), found " + to_text(w));
  require(!x.empty() && agree(x.back(), w[1]),
          "expected an input of (... x " + std::to_string(w[1]) + "), found " + to_text(x));
  check_bias(inputs, w[0]);
  Sizes shape = x;
  shape.back() = w[0];
  return shape;
}

// The spatial sizes of the result, behind what `shape` has already.
Sizes with_positions(const LayerOperation& operation, Sizes shape, const Sizes& x,
                     const Sizes& kernel) {
  for (std::size_t d = 0; d < operation.stride.size(); ++d) {
    if (x[d + 2] == kUnknown || kernel[d] == kUnknown) {
      shape.push_back(kUnknown);
      continue;
    }
    const Window window = {
        .kernel = kernel[d],
        .stride = operation.stride[d],
        .dilation = operation.kind == Kind::convolution ? operation.dilation[d] : 1,
        .padding = operation.padding_begin[d],
        .padding_end = operation.padding_end[d]};
    try {
      shape.push_back(positions(window, x[d + 2]));
    } catch (const Error& error) {
      throw Error(std::string(error.what()) + ": input " + to_text(x) + ", kernel " +
                  to_text(kernel));
    }
  }
  return shape;
}

Sizes convolution_shape(const LayerOperation& operation, const std::vector<Sizes>& inputs) {
  const Sizes &x = inputs[0], &w = inputs[1];
  const std::size_t dimensions = operation.stride.size();
  require(x.size() == dimensions + 2, "expected an input of " + std::to_string(dimensions + 2) +
                                          " dimensions, found " + to_text(x));
  require(w.size() == dimensions + 2, "expected weights of " + std::to_string(dimensions + 2) +
                                          " dimensions, found " + to_text(w));
  if (w[1] != kUnknown) {
    const std::int64_t channels = volume("the kernel", Sizes{w[1], operation.groups});
    require(agree(x[1], channels),
            "expected an input of " + std::to_string(channels) + " channels, found " + to_text(x));
  }
  require(w[0] == kUnknown || w[0] % operation.groups == 0,
          std::to_string(w[0]) + " output channels cannot be divided into " +
              std::to_string(operation.groups) + " groups");
  check_bias(inputs, w[0]);
  return with_positions(operation, {x[0], w[0]}, x, {w.begin() + 2, w.end()});
}

Sizes pool_shape(const LayerOperation& operation, const Sizes& x) {
  const std::size_t dimensions = operation.kernel.size();
  require(x.size() == dimensions + 2, "expected an input of " + std::to_string(dimensions + 2) +
                                          " dimensions, found " + to_text(x));
  return with_positions(operation, {x[0], x[1]}, x, operation.kernel);
}

AveragePool pool_of(const LayerOperation& operation, const Sizes& x) {
  return average_pool_of({.planes = x[0] * x[1],
                          .input = {x.begin() + 2, x.end()},
                          .kernel = operation.kernel,
                          .stride = operation.stride,
                          .padding = operation.padding_begin,
                          .padding_end = operation.padding_end,
                          .count_include_pad = operation.count_include_pad,
                          .divisor = {}});
}

template <class T>
void run_convolution(const LayerOperation& operation, const ArithmeticContext& context,
                     const std::vector<Sizes>& shapes, const std::vector<const T*>& inputs,
                     const T* bias, T* y, bool* outside) {
  const Sizes &x = shapes[0], &w = shapes[1];
  Convolution shape;
  shape.batch = x[0];
  shape.in_channels = x[1];
  shape.out_channels = w[0];
  shape.groups = operation.groups;
  shape.input.assign(x.begin() + 2, x.end());
  shape.kernel.assign(w.begin() + 2, w.end());
  shape.stride = operation.stride;
  shape.dilation = operation.dilation;
  shape.padding = operation.padding_begin;
  shape.padding_end = operation.padding_end;
  convolve(operation.arithmetic, context, shape, inputs[0], inputs[1], bias, y,
           /*report=*/nullptr, outside);
}

Kind kind_of(const std::string& name) {
  if (name == "linear") return Kind::linear;
  if (name == "convolution") return Kind::convolution;
  if (name == "average_pool") return Kind::average_pool;
  throw Error("unknown operation '" + name + "'");
}

}  // namespace

LayerOperation read_operation(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    LayerOperation operation;
    operation.kind = kind_of(json.at("kind").get<std::string>());
    operation.arithmetic =
        make_arithmetic(*make_quantizer(json.at("product").get<std::string>()),
                        *make_quantizer(json.at("accumulator").get<std::string>()),
                        make_accumulate(json.at("accumulate").get<std::string>()));
    json.at("seed").get_to(operation.context.seed);
    json.at("product_stream").get_to(operation.context.product_stream);
    json.at("accumulator_stream").get_to(operation.context.accumulator_stream);
    if (operation.kind == Kind::linear) return operation;
    json.at("stride").get_to(operation.stride);
    json.at("padding_begin").get_to(operation.padding_begin);
    json.at("padding_end").get_to(operation.padding_end);
    if (operation.kind == Kind::convolution) {
      json.at("dilation").get_to(operation.dilation);
      json.at("groups").get_to(operation.groups);
    } else {
      json.at("kernel").get_to(operation.kernel);
      json.at("count_include_pad").get_to(operation.count_include_pad);
    }
    for (const Sizes* sizes :
         {operation.kind == Kind::convolution ? &operation.dilation : &operation.kernel,
          &operation.padding_begin, &operation.padding_end}) {
      require(sizes->size() == operation.stride.size(), "the operation's sizes differ in number");
    }
    return operation;
  } catch (const nlohmann::json::exception& error) {
    throw Error("the operation cannot be read: " + std::string(error.what()));
  }
}

Sizes result_shape(const LayerOperation& operation, const std::vector<Sizes>& inputs) {
  check_inputs(operation, inputs);
  const Sizes shape = operation.kind == Kind::linear        ? linear_shape(inputs)
                      : operation.kind == Kind::convolution ? convolution_shape(operation, inputs)
                                                            : pool_shape(operation, inputs[0]);
  Sizes known = shape;
  std::erase(known, kUnknown);
  volume("the output", known);
  return shape;
}

template <class T>
void run_operation(const LayerOperation& operation, std::uint32_t step,
                   const std::vector<Sizes>& shapes, const std::vector<const T*>& inputs, T* y,
                   bool* outside) {
  result_shape(operation, shapes);  // throws where they do not fit
  ArithmeticContext context = operation.context;
  context.step = step;
  const Sizes& x = shapes[0];
  const T* const bias = inputs.size() > 2 ? inputs[2] : nullptr;
  switch (operation.kind) {
    case Kind::linear:
      linear(operation.arithmetic, context, volume("the input", {x.data(), x.size() - 1}),
             shapes[1][1], shapes[1][0], inputs[0], inputs[1], bias, y, /*report=*/nullptr,
             outside);
      break;
    case Kind::convolution:
      run_convolution(operation, context, shapes, inputs, bias, y, outside);
      break;
    case Kind::average_pool:
      average_pool(operation.arithmetic, context, pool_of(operation, x), inputs[0], y,
                   /*report=*/nullptr, outside);
      break;
  }
}

template void run_operation(const LayerOperation&, std::uint32_t, const std::vector<Sizes>&,
                            const std::vector<const float*>&, float*, bool*);
template void run_operation(const LayerOperation&, std::uint32_t, const std::vector<Sizes>&,
                            const std::vector<const double*>&, double*, bool*);

}  // namespace tensorquant::python
