#ifndef TENSORQUANT_LIBTORCH_NN_TWIN_H_
#define TENSORQUANT_LIBTORCH_NN_TWIN_H_

#include <torch/nn.h>  // whole: some of its headers do not stand alone

#include <tuple>
#include <utility>

#include "tensorquant/libtorch/layers/q_layer.h"
#include "tensorquant/libtorch/nn/axes.h"

namespace tensorquant::nn {

// All of libtorch's names, so that `namespace nn = tensorquant::nn;` is a whole torch::nn. Ours
// hide theirs.
using namespace ::torch::nn;

}  // namespace tensorquant::nn

// The class NameImpl, which is the quantizable twin of torch::nn::NameImpl, and its holder Name.
#define TENSORQUANT_TWIN(Name) TENSORQUANT_TWIN_OF(Name, QLayer, UNARY)
// The same through a base class with more than forward(), whose arguments are of one of the kinds
// below.
#define TENSORQUANT_TWIN_OF(Name, Base, Arguments) \
  TENSORQUANT_TWIN_CLASS(Name, Base, Arguments);   \
  TORCH_MODULE(Name)
#define TENSORQUANT_TWIN_CLASS(Name, Base, Arguments)                   \
  class Name##Impl : public Base<::torch::nn::Name##Impl, Name##Impl> { \
   public:                                                              \
    using Twin = Base<::torch::nn::Name##Impl, Name##Impl>;             \
    using Twin::Twin;                                                   \
    TENSORQUANT_FORWARD_##Arguments(Name)                               \
  }

// forward() is declared in each class anew: AnyModule and Sequential know a layer by the class that
// its forward() is a member of, and a signature does not show default arguments.
#define TENSORQUANT_ARGUMENT(Name, i) \
  ::tensorquant::detail::ForwardArgument<::torch::nn::Name##Impl, i>
#define TENSORQUANT_FORWARD_UNARY(Name)                                       \
  auto forward(TENSORQUANT_ARGUMENT(Name, 0) input) {                         \
    return Twin::forward(std::forward<TENSORQUANT_ARGUMENT(Name, 0)>(input)); \
  }
#define TENSORQUANT_FORWARD_BINARY(Name)                                                    \
  auto forward(TENSORQUANT_ARGUMENT(Name, 0) first, TENSORQUANT_ARGUMENT(Name, 1) second) { \
    return Twin::forward(std::forward<TENSORQUANT_ARGUMENT(Name, 0)>(first),                \
                         std::forward<TENSORQUANT_ARGUMENT(Name, 1)>(second));              \
  }
#define TENSORQUANT_FORWARD_OPTIONAL(Name)                                                         \
  auto forward(TENSORQUANT_ARGUMENT(Name, 0) input, TENSORQUANT_ARGUMENT(Name, 1) optional = {}) { \
    return Twin::forward(std::forward<TENSORQUANT_ARGUMENT(Name, 0)>(input),                       \
                         std::forward<TENSORQUANT_ARGUMENT(Name, 1)>(optional));                   \
  }
#define TENSORQUANT_FORWARD_BINARY_OPTIONAL(Name)                                         \
  auto forward(TENSORQUANT_ARGUMENT(Name, 0) first, TENSORQUANT_ARGUMENT(Name, 1) second, \
               TENSORQUANT_ARGUMENT(Name, 2) optional = {}) {                             \
    return Twin::forward(std::forward<TENSORQUANT_ARGUMENT(Name, 0)>(first),              \
                         std::forward<TENSORQUANT_ARGUMENT(Name, 1)>(second),             \
                         std::forward<TENSORQUANT_ARGUMENT(Name, 2)>(optional));          \
  }

// In namespace tensorquant: torch::nn::Name has no arithmetic.
#define TENSORQUANT_MOVES_VALUES(Name) \
  template <>                          \
  inline constexpr bool only_moves_values_v<::torch::nn::Name##Impl> = true

namespace tensorquant::detail {

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

#endif  // TENSORQUANT_LIBTORCH_NN_TWIN_H_
