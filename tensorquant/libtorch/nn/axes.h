#ifndef TENSORQUANT_LIBTORCH_NN_AXES_H_
#define TENSORQUANT_LIBTORCH_NN_AXES_H_

#include <torch/nn.h>  // whole: some of its headers do not stand alone

#include "tensorquant/libtorch/layers/layer_axes.h"

// What the axes of torch::nn's tensors mean, where it is not [out, in, ...] for parameters and
// [n, c, ...] for outputs.
namespace tensorquant {

#define TENSORQUANT_TRANSPOSED_WEIGHT(Name)                                           \
  template <>                                                                         \
  inline constexpr TensorAxes weight_axes_v<::torch::nn::Name##Impl> = {.channel = 1, \
                                                                        .reduction = 0}
TENSORQUANT_TRANSPOSED_WEIGHT(ConvTranspose1d);
TENSORQUANT_TRANSPOSED_WEIGHT(ConvTranspose2d);
TENSORQUANT_TRANSPOSED_WEIGHT(ConvTranspose3d);
#undef TENSORQUANT_TRANSPOSED_WEIGHT

#define TENSORQUANT_OUTPUT_AXIS(Name, axis) \
  template <>                               \
  inline constexpr int output_axis_v<::torch::nn::Name##Impl> = axis

// [..., c]
TENSORQUANT_OUTPUT_AXIS(Linear, -1);
TENSORQUANT_OUTPUT_AXIS(Bilinear, -1);
TENSORQUANT_OUTPUT_AXIS(Embedding, -1);
TENSORQUANT_OUTPUT_AXIS(EmbeddingBag, -1);
TENSORQUANT_OUTPUT_AXIS(RNN, -1);
TENSORQUANT_OUTPUT_AXIS(LSTM, -1);
TENSORQUANT_OUTPUT_AXIS(GRU, -1);
TENSORQUANT_OUTPUT_AXIS(RNNCell, -1);
TENSORQUANT_OUTPUT_AXIS(LSTMCell, -1);
TENSORQUANT_OUTPUT_AXIS(GRUCell, -1);
TENSORQUANT_OUTPUT_AXIS(MultiheadAttention, -1);
TENSORQUANT_OUTPUT_AXIS(LayerNorm, -1);

// [n, c, ...] and, without a batch, [c, ...].
TENSORQUANT_OUTPUT_AXIS(Conv1d, -2);
TENSORQUANT_OUTPUT_AXIS(ConvTranspose1d, -2);
TENSORQUANT_OUTPUT_AXIS(InstanceNorm1d, -2);
TENSORQUANT_OUTPUT_AXIS(AvgPool1d, -2);
TENSORQUANT_OUTPUT_AXIS(AdaptiveAvgPool1d, -2);
TENSORQUANT_OUTPUT_AXIS(MaxPool1d, -2);
TENSORQUANT_OUTPUT_AXIS(AdaptiveMaxPool1d, -2);
TENSORQUANT_OUTPUT_AXIS(MaxUnpool1d, -2);
TENSORQUANT_OUTPUT_AXIS(LPPool1d, -2);
TENSORQUANT_OUTPUT_AXIS(Conv2d, -3);
TENSORQUANT_OUTPUT_AXIS(ConvTranspose2d, -3);
TENSORQUANT_OUTPUT_AXIS(BatchNorm2d, -3);
TENSORQUANT_OUTPUT_AXIS(InstanceNorm2d, -3);
TENSORQUANT_OUTPUT_AXIS(AvgPool2d, -3);
TENSORQUANT_OUTPUT_AXIS(AdaptiveAvgPool2d, -3);
TENSORQUANT_OUTPUT_AXIS(MaxPool2d, -3);
TENSORQUANT_OUTPUT_AXIS(AdaptiveMaxPool2d, -3);
TENSORQUANT_OUTPUT_AXIS(MaxUnpool2d, -3);
TENSORQUANT_OUTPUT_AXIS(LPPool2d, -3);
TENSORQUANT_OUTPUT_AXIS(FractionalMaxPool2d, -3);
TENSORQUANT_OUTPUT_AXIS(Conv3d, -4);
TENSORQUANT_OUTPUT_AXIS(ConvTranspose3d, -4);
TENSORQUANT_OUTPUT_AXIS(BatchNorm3d, -4);
TENSORQUANT_OUTPUT_AXIS(InstanceNorm3d, -4);
TENSORQUANT_OUTPUT_AXIS(AvgPool3d, -4);
TENSORQUANT_OUTPUT_AXIS(AdaptiveAvgPool3d, -4);
TENSORQUANT_OUTPUT_AXIS(MaxPool3d, -4);
TENSORQUANT_OUTPUT_AXIS(AdaptiveMaxPool3d, -4);
TENSORQUANT_OUTPUT_AXIS(MaxUnpool3d, -4);
TENSORQUANT_OUTPUT_AXIS(FractionalMaxPool3d, -4);
#undef TENSORQUANT_OUTPUT_AXIS

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_AXES_H_
