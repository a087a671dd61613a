#ifndef TENSORQUANT_TORCH_NN_NORMALIZATION_H_
#define TENSORQUANT_TORCH_NN_NORMALIZATION_H_

#include "tensorquant/torch/nn/twin.h"

namespace tensorquant::nn {

TENSORQUANT_TWIN(BatchNorm1d);
TENSORQUANT_TWIN(BatchNorm2d);
TENSORQUANT_TWIN(BatchNorm3d);
TENSORQUANT_TWIN(InstanceNorm1d);
TENSORQUANT_TWIN(InstanceNorm2d);
TENSORQUANT_TWIN(InstanceNorm3d);
TENSORQUANT_TWIN(LayerNorm);
TENSORQUANT_TWIN(GroupNorm);
TENSORQUANT_TWIN(LocalResponseNorm);
TENSORQUANT_TWIN(CrossMapLRN2d);

}  // namespace tensorquant::nn

#endif  // TENSORQUANT_TORCH_NN_NORMALIZATION_H_
