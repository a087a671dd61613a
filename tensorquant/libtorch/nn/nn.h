#ifndef TENSORQUANT_LIBTORCH_NN_NN_H_
#define TENSORQUANT_LIBTORCH_NN_NN_H_

// namespace tensorquant::nn: the layers of torch::nn under the same names, each with a place for
// quantizers.

#include <torch/torch.h>

#include "tensorquant/libtorch/nn/activation.h"
#include "tensorquant/libtorch/nn/attention.h"
#include "tensorquant/libtorch/nn/conv.h"
#include "tensorquant/libtorch/nn/embedding.h"
#include "tensorquant/libtorch/nn/linear.h"
#include "tensorquant/libtorch/nn/normalization.h"
#include "tensorquant/libtorch/nn/pooling.h"
#include "tensorquant/libtorch/nn/recurrent.h"
#include "tensorquant/libtorch/nn/shape.h"

// For code that says torch::nn::Conv2d and is not to be touched:
//   namespace app { namespace torch = tensorquant::as_torch; }
namespace tensorquant::as_torch {

using namespace ::torch;
namespace nn = ::tensorquant::nn;

}  // namespace tensorquant::as_torch

#endif  // TENSORQUANT_LIBTORCH_NN_NN_H_
