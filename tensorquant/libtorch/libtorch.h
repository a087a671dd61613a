#ifndef TENSORQUANT_LIBTORCH_LIBTORCH_H_
#define TENSORQUANT_LIBTORCH_LIBTORCH_H_

// TensorQuant for libtorch models: write the model against tensorquant::nn, then apply() maps to
// it.

#include "tensorquant/libtorch/layers/q_layer.h"      // QLayer<Impl>: twins of your own layers
#include "tensorquant/libtorch/model/apply.h"         // apply, strip, clone; the model's input
#include "tensorquant/libtorch/model/observers.h"     // outputs, ranges of rounded arithmetic
#include "tensorquant/libtorch/model/steps.h"         // the steps of random rounding
#include "tensorquant/libtorch/model/summary.h"       // what is in each layer
#include "tensorquant/libtorch/nn/nn.h"               // tensorquant::nn, the layers; as_torch
#include "tensorquant/libtorch/tensors/tensor_ops.h"  // quantize(tensor, quantizer), with gradients
#include "tensorquant/maps/override.h"  // Override: which quantizers go into which layers

#endif  // TENSORQUANT_LIBTORCH_LIBTORCH_H_
