#ifndef TENSORQUANT_TORCH_NN_TWIN_H_
#define TENSORQUANT_TORCH_NN_TWIN_H_

#include <torch/nn.h>  // whole: some of its headers do not stand alone

#include <tuple>
#include <utility>

#include "tensorquant/torch/q_layer.h"

namespace tensorquant::nn {

// All of libtorch's names, so that `namespace nn = tensorquant::nn;` is a whole torch::nn. Ours
// hide theirs.
using namespace ::torch::nn;

}  // namespace tensorquant::nn

// The class NameImpl, which is the quantizable twin of torch::nn::NameImpl, and its holder Name.
#define TENSORQUANT_TWIN(Name) TENSORQUANT_TWIN_OF(Name, QLayer)
// The same through a base class with more than forward().
#define TENSORQUANT_TWIN_OF(Name, Base) \
  TENSORQUANT_TWIN_CLASS(Name, Base);   \
  TORCH_MODULE(Name)
#define TENSORQUANT_TWIN_CLASS(Name, Base)                              \
  class Name##Impl : public Base<::torch::nn::Name##Impl, Name##Impl> { \
   public:                                                              \
    using Twin = Base<::torch::nn::Name##Impl, Name##Impl>;             \
    using Twin::Twin;                                                   \
  }

// In namespace tensorquant: torch::nn::Name has no arithmetic.
#define TENSORQUANT_MOVES_VALUES(Name) \
  template <>                          \
  inline constexpr bool only_moves_values_v<::torch::nn::Name##Impl> = true

namespace tensorquant::detail {

// Layers whose forward() has one optional argument. (A signature does not show default arguments,
// so QLayer loses them.)
template <class Impl, class Self>
class OptionalArgument : public QLayer<Impl, Self> {
 public:
  using QLayer<Impl, Self>::QLayer;
  auto forward(ForwardArgument<Impl, 0> input, ForwardArgument<Impl, 1> optional = {}) {
    return QLayer<Impl, Self>::forward(std::forward<ForwardArgument<Impl, 0>>(input),
                                       std::forward<ForwardArgument<Impl, 1>>(optional));
  }
};

// Pooling layers that can also return where each value came from.
template <class Impl, class Self>
class WithIndices : public QLayer<Impl, Self> {
 public:
  using QLayer<Impl, Self>::QLayer;
  std::tuple<at::Tensor, at::Tensor> forward_with_indices(const at::Tensor& input) {
    return this->run([&](Impl& layer) { return layer.Impl::forward_with_indices(input); });
  }
};

}  // namespace tensorquant::detail

#endif  // TENSORQUANT_TORCH_NN_TWIN_H_
