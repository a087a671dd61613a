#ifndef TENSORQUANT_TORCH_NN_CONV_H_
#define TENSORQUANT_TORCH_NN_CONV_H_

#include "tensorquant/torch/nn/twin.h"

namespace tensorquant::nn {

TENSORQUANT_TWIN(Conv1d);
TENSORQUANT_TWIN(Conv2d);
TENSORQUANT_TWIN(Conv3d);
TENSORQUANT_TWIN_OF(ConvTranspose1d, detail::OptionalArgument);
TENSORQUANT_TWIN_OF(ConvTranspose2d, detail::OptionalArgument);
TENSORQUANT_TWIN_OF(ConvTranspose3d, detail::OptionalArgument);

}  // namespace tensorquant::nn

#endif  // TENSORQUANT_TORCH_NN_CONV_H_
