#ifndef TENSORQUANT_LIBTORCH_NN_ACTIVATION_H_
#define TENSORQUANT_LIBTORCH_NN_ACTIVATION_H_

#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/values.h"
#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

TENSORQUANT_MOVES_VALUES(ReLU);
TENSORQUANT_MOVES_VALUES(ReLU6);
TENSORQUANT_MOVES_VALUES(Hardtanh);
TENSORQUANT_MOVES_VALUES(Threshold);

#define TENSORQUANT_ROUNDED(Name, result)                                            \
  template <>                                                                        \
  struct RoundedForward<::torch::nn::Name##Impl> {                                   \
    static at::Tensor call([[maybe_unused]] ::torch::nn::Name##Impl& layer,          \
                           const LayerArithmetic& arithmetic, const at::Tensor& x) { \
      return result;                                                                 \
    }                                                                                \
  }
TENSORQUANT_ROUNDED(SiLU, rounded_function(arithmetic, Function::silu, x));
TENSORQUANT_ROUNDED(Sigmoid, rounded_function(arithmetic, Function::sigmoid, x));
TENSORQUANT_ROUNDED(Tanh, rounded_function(arithmetic, Function::tanh, x));
TENSORQUANT_ROUNDED(LeakyReLU, rounded_leaky_relu(arithmetic, x, layer.options.negative_slope()));
TENSORQUANT_ROUNDED(GLU, rounded_glu(arithmetic, x, layer.options.dim()));
TENSORQUANT_ROUNDED(Softmax, rounded_softmax(arithmetic, x, layer.options.dim()));
TENSORQUANT_ROUNDED(LogSoftmax, rounded_log_softmax(arithmetic, x, layer.options.dim()));
#undef TENSORQUANT_ROUNDED

template <>
struct RoundedForward<::torch::nn::GELUImpl> {
  static at::Tensor call(const ::torch::nn::GELUImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& x) {
    const bool is_tanh = layer.options.approximate() == "tanh";
    return rounded_function(arithmetic, is_tanh ? Function::gelu_tanh : Function::gelu, x);
  }
};

template <>
struct RoundedForward<::torch::nn::SoftplusImpl> {
  static bool covers(const ::torch::nn::SoftplusImpl& layer) {
    return layer.options.beta() == 1 && layer.options.threshold() == 20;
  }
  static at::Tensor call(const ::torch::nn::SoftplusImpl&, const LayerArithmetic& arithmetic,
                         const at::Tensor& x) {
    return rounded_function(arithmetic, Function::softplus, x);
  }
};

// Over the channels of (batch, channels, height, width), or of one without a batch.
template <>
struct RoundedForward<::torch::nn::Softmax2dImpl> {
  static at::Tensor call(const ::torch::nn::Softmax2dImpl&, const LayerArithmetic& arithmetic,
                         const at::Tensor& x) {
    if (x.dim() != 3 && x.dim() != 4) {
      throw Error("expected an input of 3 or 4 dimensions, found " + std::to_string(x.dim()));
    }
    return rounded_softmax(arithmetic, x, -3);
  }
};

namespace nn {

class ReLUImpl : public QLayer<::torch::nn::ReLUImpl, ReLUImpl> {
 public:
  using Twin = QLayer<::torch::nn::ReLUImpl, ReLUImpl>;
  using Twin::Twin;

  // One pass over memory for relu and quantizer: libtorch's relu keeps its result, so that it could
  // not be quantized in place.
  at::Tensor forward(at::Tensor input) {
    if (!quantizes_outputs() || options.inplace() || !input.is_floating_point()) {
      return Twin::forward(std::move(input));
    }
    return finish_relu(std::move(input), begin_call(is_training()));
  }
};
TORCH_MODULE(ReLU);

TENSORQUANT_TWIN(ReLU6);
TENSORQUANT_TWIN(LeakyReLU);
TENSORQUANT_TWIN(PReLU);
TENSORQUANT_TWIN(RReLU);
TENSORQUANT_TWIN(ELU);
TENSORQUANT_TWIN(SELU);
TENSORQUANT_TWIN(CELU);
TENSORQUANT_TWIN(GELU);
TENSORQUANT_TWIN(GLU);
TENSORQUANT_TWIN(SiLU);
TENSORQUANT_TWIN(Mish);
TENSORQUANT_TWIN(Sigmoid);
TENSORQUANT_TWIN(LogSigmoid);
TENSORQUANT_TWIN(Tanh);
TENSORQUANT_TWIN(Tanhshrink);
TENSORQUANT_TWIN(Softmax);
TENSORQUANT_TWIN(Softmax2d);
TENSORQUANT_TWIN(Softmin);
TENSORQUANT_TWIN(LogSoftmax);
TENSORQUANT_TWIN(Softplus);
TENSORQUANT_TWIN(Softsign);
TENSORQUANT_TWIN(Softshrink);
TENSORQUANT_TWIN(Hardshrink);
TENSORQUANT_TWIN(Hardtanh);
TENSORQUANT_TWIN(Threshold);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_ACTIVATION_H_
