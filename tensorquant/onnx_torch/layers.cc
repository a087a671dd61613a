#include "tensorquant/onnx_torch/layers.h"

#include <torch/nn.h>

#include <string>
#include <utility>

#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/onnx_torch/operators/windows.h"

namespace tensorquant {
namespace onnx_torch {
namespace {

// A tensor of its own over the same memory, so that layers which share one may differ in their
// quantizers. Undefined stays so.
at::Tensor own_parameter(const at::Tensor& x) {
  return x.defined() ? x.detach().requires_grad_() : x;
}

// Any node, by its function.
struct OperatorImpl : torch::nn::Cloneable<OperatorImpl> {
  OperatorImpl(std::string op_type, Function function, std::size_t weight_place, at::Tensor weight,
               std::size_t bias_place, at::Tensor bias, int channel_axis)
      : op_type(std::move(op_type)),
        function(std::move(function)),
        weight_place(weight_place),
        bias_place(bias_place),
        channel_axis(channel_axis),
        weight(std::move(weight)),
        bias(std::move(bias)) {
    reset();
  }

  void reset() override {
    if (weight.defined()) weight = register_parameter("weight", own_parameter(weight));
    if (bias.defined()) bias = register_parameter("bias", own_parameter(bias));
  }

  at::Tensor forward(Tensors inputs) {
    if (weight.defined()) inputs[weight_place] = weight;
    if (bias.defined()) inputs[bias_place] = bias;
    return function(inputs).front();
  }

  std::string op_type;
  Function function;
  std::size_t weight_place, bias_place;
  int channel_axis;
  at::Tensor weight, bias;
};

class OperatorLayer : public QLayer<OperatorImpl, OperatorLayer> {
 public:
  using Twin = QLayer<OperatorImpl, OperatorLayer>;
  using Twin::Twin;
  at::Tensor forward(Tensors inputs) { return Twin::forward(std::move(inputs)); }
  std::string type() const override { return op_type; }
  int output_axis() const override { return channel_axis; }
};

struct PassingImpl : torch::nn::Cloneable<PassingImpl> {
  explicit PassingImpl(std::string type) : told_type(std::move(type)) {}
  void reset() override {}
  at::Tensor forward(const at::Tensor& x) { return x; }
  std::string told_type;
};

class PassingLayer : public QLayer<PassingImpl, PassingLayer> {
 public:
  using Twin = QLayer<PassingImpl, PassingLayer>;
  using Twin::Twin;
  at::Tensor forward(const at::Tensor& x) { return Twin::forward(x); }
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

template <class Module>
BuiltLayer of_one_input(std::shared_ptr<Module> module) {
  return {module, [module](const Tensors& in) { return Tensors{module->forward(in[0])}; }};
}

template <class Module>
void set_parameters(Module& module, const at::Tensor& weight, const at::Tensor& bias) {
  module.weight.set_data(weight.detach());
  if (bias.defined()) module.bias.set_data(bias.detach());
}

template <class Conv, std::size_t D>
BuiltLayer build_conv(const Windows& windows, const NodeView& node, const at::Tensor& bias) {
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
  const Conv conv(options);
  set_parameters(*conv, weight, bias);
  if (symmetric) return of_one_input(conv.ptr());
  return {conv.ptr(), [windows, module = conv.ptr()](const Tensors& in) {
            return Tensors{module->forward(at::constant_pad_nd(in[0], windows.margins(in[0]), 0))};
          }};
}

template <class Conv, std::size_t D>
BuiltLayer build_conv_transpose(const Windows& windows, const NodeView& node,
                                const at::Tensor& bias) {
  const at::Tensor weight = node.constant(1);
  const std::int64_t groups = groups_of(node);
  auto options =
      torch::nn::ConvTransposeOptions<D>(weight.size(0), weight.size(1) * groups, windows.kernel)
          .stride(windows.stride)
          .padding(windows.begin)
          .output_padding(node.integers("output_padding", Integers(D, 0)))
          .dilation(windows.dilation)
          .groups(groups)
          .bias(bias.defined());
  const Conv conv(options);
  set_parameters(*conv, weight, bias);
  return of_one_input(conv.ptr());
}

template <class Pool, std::size_t D>
BuiltLayer build_average_pool(const Windows& windows, const NodeView& node) {
  auto options = torch::nn::AvgPoolOptions<D>(windows.kernel)
                     .stride(windows.stride)
                     .padding(windows.begin)
                     .ceil_mode(node.integer("ceil_mode", 0) != 0)
                     .count_include_pad(node.integer("count_include_pad", 0) != 0);
  return of_one_input(Pool(options).ptr());
}

// The twin of a layer whose windows have 1 to 3 dimensions; nothing where no twin does the same.
BuiltLayer build_windowed(const NodeView& node, const onnx::Layer& layer, const at::Tensor& bias) {
  const bool is_pool = node.op_type() == "AveragePool";
  if (!is_pool && (layer.weights.empty() || (node.has_input(2) && !bias.defined()))) return {};
  const Windows windows = windows_of(
      node, is_pool ? node.integers("kernel_shape") : node.constant(1).sizes().slice(2).vec());
  if (node.op_type() == "Conv") {
    switch (windows.dimensions()) {
      case 1:
        return build_conv<nn::Conv1d, 1>(windows, node, bias);
      case 2:
        return build_conv<nn::Conv2d, 2>(windows, node, bias);
      default:
        return build_conv<nn::Conv3d, 3>(windows, node, bias);
    }
  }
  if (!windows.is_symmetric()) return {};
  const bool d1 = windows.dimensions() == 1, d2 = windows.dimensions() == 2;
  if (is_pool) {
    return d1   ? build_average_pool<nn::AvgPool1d, 1>(windows, node)
           : d2 ? build_average_pool<nn::AvgPool2d, 2>(windows, node)
                : build_average_pool<nn::AvgPool3d, 3>(windows, node);
  }
  return d1   ? build_conv_transpose<nn::ConvTranspose1d, 1>(windows, node, bias)
         : d2 ? build_conv_transpose<nn::ConvTranspose2d, 2>(windows, node, bias)
              : build_conv_transpose<nn::ConvTranspose3d, 3>(windows, node, bias);
}

// A product with a constant matrix on its right, and a bias along its last axis.
BuiltLayer build_linear(const NodeView& node, const at::Tensor& bias) {
  const at::Tensor matrix = node.constant(1);
  const bool is_gemm = node.op_type() == "Gemm";
  const bool scales = node.number("alpha", 1) != 1 || node.number("beta", 1) != 1;
  if (!matrix.defined() || matrix.dim() != 2 || scales || node.integer("transA", 0) != 0) return {};
  const bool is_turned = is_gemm && node.integer("transB", 0) != 0;
  const at::Tensor weight = is_turned ? matrix : matrix.t().contiguous();
  const bool is_row = bias.defined() && bias.dim() > 0 && bias.size(-1) == bias.numel() &&
                      bias.numel() == weight.size(0);
  if (bias.defined() && !is_row) return {};
  const bool other_addend = is_gemm && node.has_input(2) && !bias.defined();
  if (other_addend) return {};
  auto options = torch::nn::LinearOptions(weight.size(1), weight.size(0)).bias(bias.defined());
  const nn::Linear linear(options);
  set_parameters(*linear, weight, bias.defined() ? bias.reshape({-1}) : bias);
  BuiltLayer built = of_one_input(linear.ptr());
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

BuiltLayer build_twin(const NodeView& node, const onnx::Layer& layer, const at::Tensor& bias) {
  const std::string& type = node.op_type();
  if (type == "Conv" || type == "ConvTranspose" || type == "AveragePool") {
    return build_windowed(node, layer, bias);
  }
  if (type == "Gemm" || type == "MatMul") return build_linear(node, bias);
  if (type == "BatchNormalization") return build_batch_norm(node);
  if (type == "Relu") return of_one_input(nn::ReLU().ptr());
  if (type == "Add") {
    auto sum = nn::Add().ptr();
    return {sum, [sum](const Tensors& in) { return Tensors{sum->forward(in[0], in[1])}; }};
  }
  return {};
}

bool has_channels_last(const NodeView& node) {
  const std::string& type = node.op_type();
  return type == "MatMul" || type == "Gemm" || type == "LayerNormalization" || type == "Gather" ||
         type == "Softmax";
}

}  // namespace

BuiltLayer build_passing_layer(const std::string& type) {
  auto module = std::make_shared<PassingLayer>(type);
  return {module, [module](const Tensors& in) {
            Tensors out = in;
            for (at::Tensor& x : out) {
              if (x.defined() && x.is_floating_point()) x = module->forward(x);
            }
            return out;
          }};
}

BuiltLayer build_layer(const NodeView& node, const onnx::Layer& layer, const Function& function,
                       const at::Tensor& bias) {
  BuiltLayer twin = build_twin(node, layer, bias);
  if (twin.module != nullptr) return twin;
  const std::size_t weight = layer.weights.empty() ? 0 : layer.weight_inputs.front();
  const bool adds_behind = layer.bias_node != nullptr;
  // A bias that is added behind the product is one more input.
  const std::size_t bias_place = adds_behind ? node.input_count() : layer.bias_input;
  Function all = function;
  if (adds_behind) {
    all = [function, bias_place](const Tensors& in) {
      return Tensors{function({in.begin(), in.end() - 1}).front() + in[bias_place]};
    };
  }
  auto module = std::make_shared<OperatorLayer>(
      node.op_type(), all, weight, layer.weights.empty() ? at::Tensor() : node.constant(weight),
      bias_place, bias, has_channels_last(node) ? -1 : 1);
  return {module, [module, adds_behind](const Tensors& in) {
            Tensors inputs = in;
            if (adds_behind) inputs.emplace_back();
            return Tensors{module->forward(std::move(inputs))};
          }};
}

}  // namespace onnx_torch
}  // namespace tensorquant
