#ifndef TENSORQUANT_TORCH_TORCH_H_
#define TENSORQUANT_TORCH_TORCH_H_

// TensorQuant for libtorch models: write the model against tensorquant::nn, then apply() maps to
// it.

#include "tensorquant/maps/override.h"     // Override: which quantizers go into which layers
#include "tensorquant/torch/model.h"       // apply, strip, summary, clone, steps, observers
#include "tensorquant/torch/nn.h"          // tensorquant::nn, the layers; as_torch
#include "tensorquant/torch/q_layer.h"     // QLayer<Impl>: quantizable twins of your own layers
#include "tensorquant/torch/tensor_ops.h"  // quantize(tensor, quantizer), with gradients

#endif  // TENSORQUANT_TORCH_TORCH_H_
