#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_ATTENTION_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>

#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant {

// A call of multi-head attention, as torch::nn::MultiheadAttention has it. Tensors that are not
// needed are undefined.
struct Attention {
  at::Tensor query, key, value;  // (length, batch, size)
  std::int64_t heads = 1;
  at::Tensor in_weight;  // (3 * size, size); or, where sizes differ:
  at::Tensor q_weight, k_weight, v_weight;
  at::Tensor in_bias;               // (3 * size)
  at::Tensor out_weight, out_bias;  // (size, size) and (size)
  at::Tensor bias_k, bias_v;        // one more key and value
  bool adds_zero = false;           // one more of each, of zeros
  double dropout = 0;               // of the weights
  at::Tensor padding_mask;          // (batch, length of the keys), true where it hides
  at::Tensor mask;                  // ([batch * heads,] lengths), which is added
  bool needs_weights = true;
  bool averages_weights = true;
};

// The output and the weights, if they are needed, as tensorquant's PyTorch front-end computes them:
// operation by operation, each rounded as a layer of its own would be.
std::tuple<at::Tensor, at::Tensor> rounded_attention(const LayerArithmetic& layer,
                                                     const Attention& attention);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_ATTENTION_H_
