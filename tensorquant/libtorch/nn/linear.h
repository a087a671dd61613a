#ifndef TENSORQUANT_LIBTORCH_NN_LINEAR_H_
#define TENSORQUANT_LIBTORCH_NN_LINEAR_H_

#include "tensorquant/libtorch/arithmetic/linear_and_convolution.h"
#include "tensorquant/libtorch/arithmetic/values.h"
#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

TENSORQUANT_MOVES_VALUES(Identity);

template <>
struct RoundedForward<::torch::nn::LinearImpl> {
  static at::Tensor call(::torch::nn::LinearImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& input) {
    return rounded_linear(arithmetic, input, layer.weight, layer.bias);
  }
};

namespace nn {

TENSORQUANT_TWIN(Identity);
TENSORQUANT_TWIN(Linear);
TENSORQUANT_TWIN_OF(Bilinear, QLayer, BINARY);
TENSORQUANT_TWIN_OF(CosineSimilarity, QLayer, BINARY);
TENSORQUANT_TWIN_OF(PairwiseDistance, QLayer, BINARY);

class FunctionalImpl : public QLayer<::torch::nn::FunctionalImpl, FunctionalImpl> {
 public:
  using Twin = QLayer<::torch::nn::FunctionalImpl, FunctionalImpl>;
  using Twin::Twin;
  TENSORQUANT_FORWARD_UNARY(Functional)
  at::Tensor operator()(at::Tensor input) { return forward(std::move(input)); }
};
TORCH_MODULE(Functional);

}  // namespace nn

namespace detail {

struct AddImpl : ::torch::nn::Cloneable<AddImpl> {
  void reset() override {}
  void pretty_print(std::ostream& stream) const override { stream << "tensorquant::nn::Add()"; }
  at::Tensor forward(const at::Tensor& a, const at::Tensor& b) { return a + b; }
};

}  // namespace detail

template <>
struct RoundedForward<detail::AddImpl> {
  static at::Tensor call(detail::AddImpl&, const LayerArithmetic& arithmetic, const at::Tensor& a,
                         const at::Tensor& b) {
    return rounded_add(arithmetic, a, b);
  }
};

namespace nn {

// a + b as a layer, so that a map can name the sum at the end of a residual block. libtorch has no
// such layer.
class AddImpl : public QLayer<detail::AddImpl, AddImpl> {
 public:
  at::Tensor forward(const at::Tensor& a, const at::Tensor& b) { return QLayer::forward(a, b); }
};
TORCH_MODULE(Add);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_LINEAR_H_
