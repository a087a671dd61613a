#ifndef TENSORQUANT_LIBTORCH_NN_ATTENTION_H_
#define TENSORQUANT_LIBTORCH_NN_ATTENTION_H_

#include "tensorquant/libtorch/arithmetic/attention.h"
#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

template <>
struct RoundedForward<::torch::nn::MultiheadAttentionImpl> {
  static std::tuple<at::Tensor, at::Tensor> call(::torch::nn::MultiheadAttentionImpl& layer,
                                                 const LayerArithmetic& arithmetic,
                                                 const at::Tensor& query, const at::Tensor& key,
                                                 const at::Tensor& value,
                                                 const at::Tensor& key_padding_mask,
                                                 bool need_weights, const at::Tensor& attn_mask,
                                                 bool average_attn_weights) {
    const bool is_packed = layer._qkv_same_embed_dim;
    return rounded_attention(arithmetic,
                             {.query = query,
                              .key = key,
                              .value = value,
                              .heads = layer.options.num_heads(),
                              .in_weight = is_packed ? layer.in_proj_weight : at::Tensor(),
                              .q_weight = layer.q_proj_weight,
                              .k_weight = layer.k_proj_weight,
                              .v_weight = layer.v_proj_weight,
                              .in_bias = layer.in_proj_bias,
                              .out_weight = layer.out_proj->weight,
                              .out_bias = layer.out_proj->bias,
                              .bias_k = layer.bias_k,
                              .bias_v = layer.bias_v,
                              .adds_zero = layer.options.add_zero_attn(),
                              .dropout = layer.is_training() ? layer.options.dropout() : 0,
                              .padding_mask = key_padding_mask,
                              .mask = attn_mask,
                              .needs_weights = need_weights,
                              .averages_weights = average_attn_weights});
  }
};

namespace nn {

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

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_ATTENTION_H_
