#ifndef TENSORQUANT_LIBTORCH_NN_EMBEDDING_H_
#define TENSORQUANT_LIBTORCH_NN_EMBEDDING_H_

#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

TENSORQUANT_MOVES_VALUES(Embedding);

namespace detail {

template <class Impl, class Self>
class Embedding : public QLayer<Impl, Self> {
 public:
  using QLayer<Impl, Self>::QLayer;

 protected:
  std::string obstacle() const override {
    return this->options.max_norm() ? "max_norm changes the weight in each forward call" : "";
  }
};

// A holder's from_pretrained().
template <class Twin, class Plain, class Options>
Twin from_pretrained(const at::Tensor& embeddings, const Options& options) {
  const Plain plain = Plain::from_pretrained(embeddings, options);
  const bool trained = plain->weight.requires_grad();
  Twin twin(plain->options);  // which shares the weight, and makes it a trained one
  twin->weight.set_requires_grad(trained);
  return twin;
}

}  // namespace detail

namespace nn {

TENSORQUANT_TWIN_CLASS(Embedding, detail::Embedding, UNARY);

class Embedding : public ::torch::nn::ModuleHolder<EmbeddingImpl> {
 public:
  using ::torch::nn::ModuleHolder<EmbeddingImpl>::ModuleHolder;
  using Impl = EmbeddingImpl;
  static Embedding from_pretrained(
      const at::Tensor& embeddings,
      const ::torch::nn::EmbeddingFromPretrainedOptions& options = {}) {
    return detail::from_pretrained<Embedding, ::torch::nn::Embedding>(embeddings, options);
  }
};

class EmbeddingBagImpl : public detail::Embedding<::torch::nn::EmbeddingBagImpl, EmbeddingBagImpl> {
 public:
  using Twin = detail::Embedding<::torch::nn::EmbeddingBagImpl, EmbeddingBagImpl>;
  using Twin::Twin;
  at::Tensor forward(const at::Tensor& input, const at::Tensor& offsets = {},
                     const at::Tensor& per_sample_weights = {}) {
    return Twin::forward(input, offsets, per_sample_weights);
  }
};

class EmbeddingBag : public ::torch::nn::ModuleHolder<EmbeddingBagImpl> {
 public:
  using ::torch::nn::ModuleHolder<EmbeddingBagImpl>::ModuleHolder;
  using Impl = EmbeddingBagImpl;
  static EmbeddingBag from_pretrained(
      const at::Tensor& embeddings,
      const ::torch::nn::EmbeddingBagFromPretrainedOptions& options = {}) {
    return detail::from_pretrained<EmbeddingBag, ::torch::nn::EmbeddingBag>(embeddings, options);
  }
};

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_EMBEDDING_H_
