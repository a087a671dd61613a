#include "tensorquant/onnx_torch/layers.h"

#include <torch/nn.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/onnx/names/axes.h"
#include "tensorquant/onnx_torch/alternative_layer.h"
#include "tensorquant/onnx_torch/operators/windows.h"
#include "tensorquant/onnx_torch/rounded_nodes.h"

namespace tensorquant {
namespace onnx_torch {
namespace {

// A tensor of its own over the same memory, so that layers which share one may differ in their
// quantizers. Undefined stays so.
at::Tensor own_parameter(const at::Tensor& x) {
  return x.defined() ? x.detach().requires_grad_() : x;
}

// A constant input of a node that quantizers act on.
struct Parameter {
  std::string name;
  std::size_t place = 0;  // among the inputs
  at::Tensor value;
  bool is_turned = false;  // the transpose of what the node reads
};

// What rules hit of a node's outputs: the first, or all.
struct Outputs {
  Tensors tensors;
  bool all_count = false;

  template <class F>
  void visit_tensors(F&& f) {
    for (std::size_t i = 0; i < (all_count ? tensors.size() : 1); ++i) f(tensors[i]);
  }
};

// Any node, by its function.
struct OperatorImpl : torch::nn::Cloneable<OperatorImpl> {
  OperatorImpl(std::string op_type, Function function, RoundedFunction rounded_function,
               bool selects, std::vector<Parameter> parameters, TensorAxes axes_of_weight,
               int channel_axis)
      : op_type(std::move(op_type)),
        function(std::move(function)),
        rounded_function(std::move(rounded_function)),
        selects(selects),
        parameters_of_node(std::move(parameters)),
        axes_of_weight(axes_of_weight),
        channel_axis(channel_axis) {
    reset();
  }

  void reset() override {
    for (Parameter& parameter : parameters_of_node) {
      parameter.value = register_parameter(parameter.name, own_parameter(parameter.value));
    }
  }

  template <class F>
  void quantizable(F&& f) {
    for (Parameter& parameter : parameters_of_node) f(parameter.value);
  }

  Tensors with_parameters(Tensors inputs) const {
    for (const Parameter& parameter : parameters_of_node) {
      inputs[parameter.place] = parameter.is_turned ? parameter.value.t() : parameter.value;
    }
    return inputs;
  }

  Outputs forward(Tensors inputs) {
    return {function(with_parameters(std::move(inputs))), onnx::is_recurrent(op_type)};
  }

  std::string op_type;
  Function function;
  RoundedFunction rounded_function;  // none: its arithmetic cannot be rounded
  bool selects;                      // it has none
  std::vector<Parameter> parameters_of_node;
  TensorAxes axes_of_weight;
  int channel_axis;
};

}  // namespace
}  // namespace onnx_torch

template <>
struct RoundedForward<onnx_torch::OperatorImpl> {
  static bool covers(const onnx_torch::OperatorImpl& layer) {
    return layer.rounded_function != nullptr;
  }
  static onnx_torch::Outputs call(onnx_torch::OperatorImpl& layer,
                                  const LayerArithmetic& arithmetic, onnx_torch::Tensors inputs) {
    return {{layer.rounded_function(arithmetic, layer.with_parameters(std::move(inputs)))}, false};
  }
};

namespace onnx_torch {
namespace {

class OperatorLayer : public QLayer<OperatorImpl, OperatorLayer> {
 public:
  using Twin = QLayer<OperatorImpl, OperatorLayer>;
  using Twin::Twin;
  Outputs forward(Tensors inputs) { return Twin::forward(std::move(inputs)); }
  std::string type() const override { return op_type; }
  bool only_moves_values() const override { return selects; }
  int output_axis() const override { return channel_axis; }
  TensorAxes weight_axes() const override { return axes_of_weight; }
};

// What rules hit of what only moves numbers: all with fractions.
struct FloatOutputs {
  Tensors tensors;

  template <class F>
  void visit_tensors(F&& f) {
    for (at::Tensor& x : tensors) {
      if (x.defined() && x.is_floating_point()) f(x);
    }
  }
};

struct PassingImpl : torch::nn::Cloneable<PassingImpl> {
  explicit PassingImpl(std::string type) : told_type(std::move(type)) {}
  void reset() override {}
  FloatOutputs forward(Tensors inputs) { return {std::move(inputs)}; }
  std::string told_type;
};

class PassingLayer : public QLayer<PassingImpl, PassingLayer> {
 public:
  using Twin = QLayer<PassingImpl, PassingLayer>;
  using Twin::Twin;
  FloatOutputs forward(Tensors inputs) { return Twin::forward(std::move(inputs)); }
  std::string type() const override { return told_type; }
  bool only_moves_values() const override { return true; }
};

// A batch normalization of inputs of any rank, with the statistics of the file.
struct BatchNormImpl : torch::nn::Cloneable<BatchNormImpl> {
  BatchNormImpl(const Tensors& parameters, double epsilon)
      : epsilon(epsilon),
        weight(parameters[0]),
        bias(parameters[1]),
        running_mean(parameters[2]),
        running_var(parameters[3]) {
    reset();
  }

  void reset() override {
    weight = register_parameter("weight", own_parameter(weight));
    bias = register_parameter("bias", own_parameter(bias));
    running_mean = register_buffer("running_mean", running_mean);
    running_var = register_buffer("running_var", running_var);
  }

  at::Tensor forward(const at::Tensor& x) {
    return at::batch_norm(x, weight, bias, running_mean, running_var, /*training=*/false,
                          /*momentum=*/0, epsilon, /*cudnn_enabled=*/false);
  }

  double epsilon;
  at::Tensor weight, bias, running_mean, running_var;
};

}  // namespace
}  // namespace onnx_torch

template <>
struct RoundedForward<onnx_torch::BatchNormImpl> {
  static at::Tensor call(onnx_torch::BatchNormImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& x) {
    return rounded_batch_norm(arithmetic, x, layer.running_mean, layer.running_var, layer.weight,
                              layer.bias, layer.epsilon);
  }
};

namespace onnx_torch {
namespace {

class BatchNormLayer : public QLayer<BatchNormImpl, BatchNormLayer> {
 public:
  using Twin = QLayer<BatchNormImpl, BatchNormLayer>;
  using Twin::Twin;
  at::Tensor forward(const at::Tensor& x) { return Twin::forward(x); }
  std::string type() const override { return "BatchNormalization"; }
};

// The twins, which while they are plain overwrite inputs that nobody else holds.
class ReluLayer : public nn::ReLUImpl {
 public:
  at::Tensor forward(at::Tensor x) {
    if (is_active() || !may_overwrite(x, x.sizes())) return nn::ReLUImpl::forward(std::move(x));
    begin_call(is_training());
    return x.relu_();
  }
};

class AddLayer : public nn::AddImpl {
 public:
  at::Tensor forward(const at::Tensor& a, const at::Tensor& b) {
    const bool is_plain = !is_active() && a.is_floating_point() &&
                          a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes();
    for (const auto& [x, other] : {std::tie(a, b), std::tie(b, a)}) {
      if (!is_plain || !may_overwrite(x, x.sizes())) continue;
      begin_call(is_training());
      return x.add_(other);
    }
    return nn::AddImpl::forward(a, b);
  }
};

template <class Module>
BuiltLayer of_one_input(std::shared_ptr<Module> module) {
  return {module, [module](const Tensors& in) { return Tensors{module->forward(in[0])}; }};
}

template <class Module>
void set_parameters(Module& module, const at::Tensor& weight, const at::Tensor& bias) {
  module.weight.set_data(weight.detach());
  if (bias.defined()) module.bias.set_data(bias.detach());
}

// The layer of Holder, or where its sums are to be exact the same around Impl.
template <class Holder, class Impl, class Options>
BuiltLayer build_product(const Options& options, const at::Tensor& weight, const at::Tensor& bias,
                         const std::optional<IntegerSums>& sums) {
  if (!sums) {
    const Holder layer(options);
    set_parameters(*layer, weight, bias);
    return of_one_input(layer.ptr());
  }
  const auto layer = std::make_shared<AlternativeLayer<Impl>>(options);
  set_parameters(*layer, weight, bias);
  layer->alternative = [sums = *sums](const Impl& one, const at::Tensor& x) {
    return sums(x, one.weight, one.bias);
  };
  return of_one_input(layer);
}

template <class Conv, class Impl, std::size_t D>
BuiltLayer build_conv(const Windows& windows, const NodeView& node, const at::Tensor& bias,
                      const FactorScales* scales) {
  const at::Tensor weight = node.constant(1);
  const std::int64_t groups = groups_of(node);
  const bool symmetric = windows.is_symmetric();
  const Integers padding = symmetric ? windows.begin : Integers(D, 0);
  auto options = torch::nn::ConvOptions<D>(weight.size(1) * groups, weight.size(0), windows.kernel)
                     .stride(windows.stride)
                     .padding(torch::ExpandingArray<D>(padding))
                     .dilation(windows.dilation)
                     .groups(groups)
                     .bias(bias.defined());
  std::optional<IntegerSums> sums;
  if (scales != nullptr) {
    sums.emplace(
        [=](const at::Tensor& x, const at::Tensor& w) {
          return at::convolution(x, w, at::Tensor(), windows.stride, padding, windows.dilation,
                                 /*transposed=*/false, Integers(D, 0), groups);
        },
        *scales, 0, 1);
  }
  const BuiltLayer conv = build_product<Conv, Impl>(options, weight, bias, sums);
  return {conv.module,
          [windows, symmetric, channels = weight.size(0), run = conv.forward](const Tensors& in) {
            windows.check_convolution(in[0], channels);
            return run(symmetric ? in : Tensors{padded(in[0], windows.margins(in[0]), 0)});
          }};
}

template <class Conv, std::size_t D>
BuiltLayer build_conv_transpose(const Windows& windows, const NodeView& node,
                                const at::Tensor& bias) {
  const at::Tensor weight = node.constant(1);
  const std::int64_t groups = groups_of(node), channels = weight.size(1) * groups;
  const Integers extra = output_padding_of(node);
  auto options = torch::nn::ConvTransposeOptions<D>(weight.size(0), channels, windows.kernel)
                     .stride(windows.stride)
                     .padding(windows.begin)
                     .output_padding(extra.empty() ? Integers(D, 0) : extra)
                     .dilation(windows.dilation)
                     .groups(groups)
                     .bias(bias.defined());
  const Conv conv(options);
  set_parameters(*conv, weight, bias);
  return {conv.ptr(), [windows, channels, module = conv.ptr()](const Tensors& in) {
            windows.check_transposed(in[0], channels);
            return Tensors{module->forward(in[0])};
          }};
}

// The mean of all is that of a global pool, bit for bit, which adds up in another order.
template <class Impl, std::size_t D>
BuiltLayer build_average_pool(const Windows& windows, const NodeView& node) {
  auto options = torch::nn::AvgPoolOptions<D>(windows.kernel)
                     .stride(windows.stride)
                     .padding(windows.begin)
                     .ceil_mode(node.integer("ceil_mode", 0) != 0)
                     .count_include_pad(node.integer("count_include_pad", 0) != 0);
  const auto pool = std::make_shared<AlternativeLayer<Impl>>(options);
  pool->alternative = [windows](const Impl&, const at::Tensor& x) {
    return windows.is_whole(x) ? x.mean(space_of(x), /*keepdim=*/true) : at::Tensor();
  };
  return of_one_input(pool);
}

// The twin of a layer whose windows have 1 to 3 dimensions; nothing where no twin does the same.
BuiltLayer build_windowed(const NodeView& node, const onnx::Layer& layer, const at::Tensor& bias,
                          const FactorScales* scales) {
  const bool is_pool = node.op_type() == "AveragePool";
  if (!is_pool && (layer.weights.empty() || (node.has_input(2) && !bias.defined()))) return {};
  const Windows windows = windows_of(
      node, is_pool ? node.integers("kernel_shape") : node.constant(1).sizes().slice(2).vec());
  if (node.op_type() == "Conv") {
    switch (windows.dimensions()) {
      case 1:
        return build_conv<nn::Conv1d, torch::nn::Conv1dImpl, 1>(windows, node, bias, scales);
      case 2:
        return build_conv<nn::Conv2d, torch::nn::Conv2dImpl, 2>(windows, node, bias, scales);
      default:
        return build_conv<nn::Conv3d, torch::nn::Conv3dImpl, 3>(windows, node, bias, scales);
    }
  }
  const bool has_twin =
      is_pool ? windows.fits_a_pool() && !windows.is_dilated()
              : windows.is_symmetric() && !node.has("output_shape") &&
                    *std::min_element(windows.begin.begin(), windows.begin.end()) >= 0;
  if (!has_twin) return {};
  const bool d1 = windows.dimensions() == 1, d2 = windows.dimensions() == 2;
  if (is_pool) {
    return d1   ? build_average_pool<torch::nn::AvgPool1dImpl, 1>(windows, node)
           : d2 ? build_average_pool<torch::nn::AvgPool2dImpl, 2>(windows, node)
                : build_average_pool<torch::nn::AvgPool3dImpl, 3>(windows, node);
  }
  return d1   ? build_conv_transpose<nn::ConvTranspose1d, 1>(windows, node, bias)
         : d2 ? build_conv_transpose<nn::ConvTranspose2d, 2>(windows, node, bias)
              : build_conv_transpose<nn::ConvTranspose3d, 3>(windows, node, bias);
}

// A product with a constant matrix on its right, and a bias along its last axis.
BuiltLayer build_linear(const NodeView& node, const at::Tensor& bias, const FactorScales* scales) {
  const at::Tensor matrix = node.constant(1);
  const bool is_gemm = node.op_type() == "Gemm";
  const bool multiplies = node.number("alpha", 1) != 1 || node.number("beta", 1) != 1;
  if (!matrix.defined() || matrix.dim() != 2 || multiplies || node.integer("transA", 0) != 0)
    return {};
  const bool is_turned = is_gemm && node.integer("transB", 0) != 0;
  const at::Tensor weight = is_turned ? matrix : matrix.t().contiguous();
  const bool is_row = bias.defined() && bias.dim() > 0 && bias.size(-1) == bias.numel() &&
                      bias.numel() == weight.size(0);
  if (bias.defined() && !is_row) return {};
  const bool other_addend = is_gemm && node.has_input(2) && !bias.defined();
  if (other_addend) return {};
  auto options = torch::nn::LinearOptions(weight.size(1), weight.size(0)).bias(bias.defined());
  std::optional<IntegerSums> sums;
  if (scales != nullptr) {
    sums.emplace([](const at::Tensor& x, const at::Tensor& w) { return at::linear(x, w); }, *scales,
                 0, -1);
  }
  BuiltLayer built = build_product<nn::Linear, torch::nn::LinearImpl>(
      options, weight, bias.defined() ? bias.reshape({-1}) : bias, sums);
  built.weight_is_turned = !is_turned;
  return built;
}

BuiltLayer build_batch_norm(const NodeView& node) {
  Tensors parameters;
  for (std::size_t i = 1; i < 5; ++i) {
    if (!node.constant(i).defined()) return {};
    parameters.push_back(node.constant(i));
  }
  return of_one_input(std::make_shared<BatchNormLayer>(parameters, node.number("epsilon", 1e-5)));
}

BuiltLayer build_twin(const NodeView& node, const onnx::Layer& layer, const at::Tensor& bias,
                      const FactorScales* scales) {
  const std::string& type = node.op_type();
  if (type == "Conv" || type == "ConvTranspose" || type == "AveragePool") {
    return build_windowed(node, layer, bias, scales);
  }
  if (type == "Gemm" || type == "MatMul") return build_linear(node, bias, scales);
  if (type == "BatchNormalization") return build_batch_norm(node);
  if (type == "Relu") {
    auto relu = std::make_shared<ReluLayer>();
    return {relu, [relu](Tensors in) { return Tensors{relu->forward(std::move(in[0]))}; }};
  }
  if (type == "Add") {
    auto sum = std::make_shared<AddLayer>();
    return {sum, [sum](const Tensors& in) { return Tensors{sum->forward(in[0], in[1])}; }};
  }
  return {};
}

// Matrices whose outputs are columns are held with rows for these, as libtorch's layers do.
bool is_held_turned(const NodeView& node, const onnx::Layer& layer) {
  return !layer.weights.empty() && onnx::weight_axes(layer, 0).is_turned &&
         node.constant(layer.weight_inputs[0]).dim() == 2;
}

TensorAxes weight_axes_of(const onnx::Layer& layer, bool is_turned) {
  if (layer.weights.empty()) return {};
  if (is_turned) return {0, 1};
  const onnx::WeightAxes axes = onnx::weight_axes(layer, 0);
  return {axes.channel, axes.reduction};
}

std::vector<Parameter> parameters_of(const NodeView& node, const onnx::Layer& layer, bool is_turned,
                                     const at::Tensor& bias, std::size_t bias_place) {
  std::vector<Parameter> parameters;
  for (std::size_t i = 0; i < layer.weights.size(); ++i) {
    const std::size_t place = layer.weight_inputs[i];
    const at::Tensor weight = node.constant(place);
    parameters.push_back({weight_name(node.op_type(), place), place,
                          is_turned ? weight.t().contiguous() : weight, is_turned});
  }
  if (bias.defined()) parameters.push_back({"bias", bias_place, bias});
  return parameters;
}

// Sums of two factors, exact where they can be; a third input is the bias.
Function with_integer_sums(const NodeView& node, const Function& product, const Function& otherwise,
                           const FactorScales& scales) {
  const bool is_conv = node.op_type() == "Conv";
  const bool is_turned = node.op_type() == "Gemm" && node.integer("transB", 0) != 0;
  const IntegerSums sums(
      [product](const at::Tensor& x, const at::Tensor& w) {
        return product({x, w}).front();
      },
      scales, is_conv || is_turned ? 0 : -1, is_conv ? 1 : -1);
  return [=](const Tensors& in) {
    const at::Tensor y = sums(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor());
    return y.defined() ? Tensors{y} : otherwise(in);
  };
}

}  // namespace

std::string weight_name(const std::string& op_type, std::size_t input) {
  if (!onnx::is_recurrent(op_type)) return "weight";
  return input == 1 ? "weight_ih" : "weight_hh";
}

BuiltLayer build_passing_layer(const std::string& type) {
  auto module = std::make_shared<PassingLayer>(type);
  return {module, [module](Tensors in) { return module->forward(std::move(in)).tensors; }};
}

BuiltLayer build_layer(const NodeView& node, const onnx::Layer& layer, const Function& function,
                       const at::Tensor& bias, const FactorScales* scales) {
  BuiltLayer twin = build_twin(node, layer, bias, scales);
  if (twin.module != nullptr) return twin;
  const bool adds_behind = layer.bias_node != nullptr;
  // A bias that is added behind the product is one more input.
  const std::size_t bias_place = adds_behind ? node.input_count() : layer.bias_input;
  Function all = function;
  RoundedFunction rounded = make_rounded_function(node);
  if (adds_behind) {
    all = [function, bias_place](const Tensors& in) {
      return Tensors{function({in.begin(), in.end() - 1}).front() + in[bias_place]};
    };
    rounded = [product = rounded, bias_place](const LayerArithmetic& layer, const Tensors& in) {
      return rounded_add(layer.operation(1), product(layer, {in.begin(), in.end() - 1}),
                         in[bias_place]);
    };
  }
  if (scales != nullptr) all = with_integer_sums(node, function, all, *scales);
  const bool is_turned = is_held_turned(node, layer);
  auto module =
      std::make_shared<OperatorLayer>(node.op_type(), all, rounded, selects_numbers(node),
                                      parameters_of(node, layer, is_turned, bias, bias_place),
                                      weight_axes_of(layer, is_turned), onnx::output_axis(layer));
  return {module,
          [module, adds_behind](Tensors in) {
            if (adds_behind) in.emplace_back();
            return module->forward(std::move(in)).tensors;
          },
          is_turned};
}

}  // namespace onnx_torch
}  // namespace tensorquant
