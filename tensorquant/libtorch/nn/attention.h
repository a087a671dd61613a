#ifndef TENSORQUANT_LIBTORCH_NN_ATTENTION_H_
#define TENSORQUANT_LIBTORCH_NN_ATTENTION_H_

#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant::nn {

class MultiheadAttentionImpl
    : public QLayer<::torch::nn::MultiheadAttentionImpl, MultiheadAttentionImpl> {
 public:
  using Twin = QLayer<::torch::nn::MultiheadAttentionImpl, MultiheadAttentionImpl>;
  using Twin::Twin;

  std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& query, const at::Tensor& key,
                                             const at::Tensor& value,
                                             const at::Tensor& key_padding_mask = {},
                                             bool need_weights = true,
                                             const at::Tensor& attn_mask = {},
                                             bool average_attn_weights = true) {
    return Twin::forward(query, key, value, key_padding_mask, need_weights, attn_mask,
                         average_attn_weights);
  }
};
TORCH_MODULE(MultiheadAttention);

}  // namespace tensorquant::nn

#endif  // TENSORQUANT_LIBTORCH_NN_ATTENTION_H_
