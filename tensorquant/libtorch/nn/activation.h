#ifndef TENSORQUANT_LIBTORCH_NN_ACTIVATION_H_
#define TENSORQUANT_LIBTORCH_NN_ACTIVATION_H_

#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

TENSORQUANT_MOVES_VALUES(ReLU);
TENSORQUANT_MOVES_VALUES(ReLU6);
TENSORQUANT_MOVES_VALUES(Hardtanh);
TENSORQUANT_MOVES_VALUES(Threshold);

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
