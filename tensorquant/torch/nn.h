#ifndef TENSORQUANT_TORCH_NN_H_
#define TENSORQUANT_TORCH_NN_H_

// namespace tensorquant::nn: the layers of torch::nn under the same names, each with a place for
// quantizers.

#include <torch/torch.h>

#include "tensorquant/torch/nn/activation.h"
#include "tensorquant/torch/nn/attention.h"
#include "tensorquant/torch/nn/conv.h"
#include "tensorquant/torch/nn/embedding.h"
#include "tensorquant/torch/nn/linear.h"
#include "tensorquant/torch/nn/normalization.h"
#include "tensorquant/torch/nn/pooling.h"
#include "tensorquant/torch/nn/recurrent.h"
#include "tensorquant/torch/nn/shape.h"

// For code that says torch::nn::Conv2d and is not to be touched:
//   namespace app { namespace torch = tensorquant::as_torch; }
namespace tensorquant::as_torch {

using namespace ::torch;
namespace nn = ::tensorquant::nn;

}  // namespace tensorquant::as_torch

#endif  // TENSORQUANT_TORCH_NN_H_
