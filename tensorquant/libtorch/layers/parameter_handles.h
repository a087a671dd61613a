#ifndef TENSORQUANT_LIBTORCH_LAYERS_PARAMETER_HANDLES_H_
#define TENSORQUANT_LIBTORCH_LAYERS_PARAMETER_HANDLES_H_

#include <ATen/core/Tensor.h>

#include <concepts>
#include <memory>
#include <type_traits>
#include <vector>

namespace tensorquant::detail {

// A call of f(member) where the class has a tensor of that name.
#define TENSORQUANT_VISIT_MEMBER(member)                         \
  if constexpr (requires {                                       \
                  { layer.member } -> std::same_as<at::Tensor&>; \
                }) {                                             \
    f(layer.member);                                             \
  }

// f(tensor) for each member of a libtorch layer, or of a user's, that its forward() reads as a
// parameter, in a fixed order. `layer` is a copy that the caller may change: a submodule whose
// members are visited is replaced by a copy first.
template <class Impl, class F>
void visit_parameter_handles(Impl& layer, F&& f) {
  if constexpr (requires { layer.quantizable(f); }) {
    layer.quantizable(f);
  } else {
    TENSORQUANT_VISIT_MEMBER(weight)
    TENSORQUANT_VISIT_MEMBER(bias)
    // RNNCell, LSTMCell, GRUCell
    TENSORQUANT_VISIT_MEMBER(weight_ih)
    TENSORQUANT_VISIT_MEMBER(weight_hh)
    TENSORQUANT_VISIT_MEMBER(bias_ih)
    TENSORQUANT_VISIT_MEMBER(bias_hh)
    // MultiheadAttention
    TENSORQUANT_VISIT_MEMBER(in_proj_weight)
    TENSORQUANT_VISIT_MEMBER(in_proj_bias)
    TENSORQUANT_VISIT_MEMBER(q_proj_weight)
    TENSORQUANT_VISIT_MEMBER(k_proj_weight)
    TENSORQUANT_VISIT_MEMBER(v_proj_weight)
    TENSORQUANT_VISIT_MEMBER(bias_k)
    TENSORQUANT_VISIT_MEMBER(bias_v)
    if constexpr (requires { layer.in_proj_weight, layer.out_proj->weight; }) {
      using OutProj = std::remove_cvref_t<decltype(*layer.out_proj)>;
      layer.out_proj = std::make_shared<OutProj>(*layer.out_proj);
      f(layer.out_proj->weight);
      f(layer.out_proj->bias);
    }
    // RNN, LSTM, GRU keep their parameters in a protected vector.
    if constexpr (requires { layer.all_weights(), layer.flatten_parameters(); }) {
      struct Peek : Impl {
        static auto member() { return &Peek::flat_weights_; }
      };
      for (at::Tensor& tensor : layer.*Peek::member()) f(tensor);
    }
  }
}

#undef TENSORQUANT_VISIT_MEMBER

}  // namespace tensorquant::detail

#endif  // TENSORQUANT_LIBTORCH_LAYERS_PARAMETER_HANDLES_H_
