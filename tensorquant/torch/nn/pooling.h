#ifndef TENSORQUANT_TORCH_NN_POOLING_H_
#define TENSORQUANT_TORCH_NN_POOLING_H_

#include "tensorquant/torch/nn/twin.h"

namespace tensorquant {

TENSORQUANT_MOVES_VALUES(MaxPool1d);
TENSORQUANT_MOVES_VALUES(MaxPool2d);
TENSORQUANT_MOVES_VALUES(MaxPool3d);
TENSORQUANT_MOVES_VALUES(AdaptiveMaxPool1d);
TENSORQUANT_MOVES_VALUES(AdaptiveMaxPool2d);
TENSORQUANT_MOVES_VALUES(AdaptiveMaxPool3d);
TENSORQUANT_MOVES_VALUES(FractionalMaxPool2d);
TENSORQUANT_MOVES_VALUES(FractionalMaxPool3d);
TENSORQUANT_MOVES_VALUES(MaxUnpool1d);
TENSORQUANT_MOVES_VALUES(MaxUnpool2d);
TENSORQUANT_MOVES_VALUES(MaxUnpool3d);

namespace detail {

template <class Impl, class Self>
class MaxUnpool : public QLayer<Impl, Self> {
 public:
  using QLayer<Impl, Self>::QLayer;
  at::Tensor forward(const at::Tensor& input, const at::Tensor& indices,
                     ForwardArgument<Impl, 2> output_size = {}) {
    return QLayer<Impl, Self>::forward(input, indices, output_size);
  }
};

}  // namespace detail

namespace nn {

TENSORQUANT_TWIN(AvgPool1d);
TENSORQUANT_TWIN(AvgPool2d);
TENSORQUANT_TWIN(AvgPool3d);
TENSORQUANT_TWIN(AdaptiveAvgPool1d);
TENSORQUANT_TWIN(AdaptiveAvgPool2d);
TENSORQUANT_TWIN(AdaptiveAvgPool3d);
TENSORQUANT_TWIN(LPPool1d);
TENSORQUANT_TWIN(LPPool2d);
TENSORQUANT_TWIN_OF(MaxPool1d, detail::WithIndices);
TENSORQUANT_TWIN_OF(MaxPool2d, detail::WithIndices);
TENSORQUANT_TWIN_OF(MaxPool3d, detail::WithIndices);
TENSORQUANT_TWIN_OF(AdaptiveMaxPool1d, detail::WithIndices);
TENSORQUANT_TWIN_OF(AdaptiveMaxPool2d, detail::WithIndices);
TENSORQUANT_TWIN_OF(AdaptiveMaxPool3d, detail::WithIndices);
TENSORQUANT_TWIN_OF(FractionalMaxPool2d, detail::WithIndices);
TENSORQUANT_TWIN_OF(FractionalMaxPool3d, detail::WithIndices);
TENSORQUANT_TWIN_OF(MaxUnpool1d, detail::MaxUnpool);
TENSORQUANT_TWIN_OF(MaxUnpool2d, detail::MaxUnpool);
TENSORQUANT_TWIN_OF(MaxUnpool3d, detail::MaxUnpool);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_TORCH_NN_POOLING_H_
