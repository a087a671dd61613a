#ifndef TENSORQUANT_LIBTORCH_LAYERS_Q_LAYER_H_
#define TENSORQUANT_LIBTORCH_LAYERS_Q_LAYER_H_

#include <c10/util/SmallVector.h>
#include <c10/util/Type.h>
#include <torch/nn/cloneable.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensorquant/libtorch/layers/layer_axes.h"
#include "tensorquant/libtorch/layers/parameter_handles.h"
#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/tensors/result_tensors.h"
#include "tensorquant/libtorch/tensors/scaled_values.h"

namespace tensorquant {

namespace detail {

template <class Member>
struct Signature;
template <class R, class C, class... A>
struct Signature<R (C::*)(A...)> {
  using Type = R(A...);
  using Arguments = std::tuple<A...>;
};
template <class R, class C, class... A>
struct Signature<R (C::*)(A...) const> : Signature<R (C::*)(A...)> {};

// The type of argument `index` of Impl::forward. libtorch's releases differ in how they spell some.
template <class Impl, std::size_t index>
using ForwardArgument =
    std::tuple_element_t<index, typename Signature<decltype(&Impl::forward)>::Arguments>;

using CloneDevice =
    std::tuple_element_t<0, typename Signature<decltype(&torch::nn::Module::clone)>::Arguments>;

// "tensorquant::nn::Conv2dImpl" -> "Conv2d"
std::string layer_type(std::string class_name);

}  // namespace detail

// Specialise as true for a layer that only selects or moves values: it has no arithmetic that could
// be rounded.
template <class Impl>
inline constexpr bool only_moves_values_v = false;
// Likewise for one of those that in training leaves some out, at random, and scales the others.
template <class Impl>
inline constexpr bool drops_values_v = false;

namespace detail {

// Whether RoundedForward<Impl>::call takes what Impl::forward takes.
template <class Impl, class... A>
concept RoundsArithmetic = requires(Impl& layer, const LayerArithmetic& arithmetic,
                                    A... arguments) {
  RoundedForward<Impl>::call(layer, arithmetic, std::forward<A>(arguments)...);
};

// Whether forward() makes one tensor of one and only moves its values.
template <class Impl, class R, class... A>
inline constexpr bool moves_one_tensor = false;
template <class Impl, class A>
inline constexpr bool moves_one_tensor<Impl, at::Tensor, A> =
    only_moves_values_v<Impl>&& std::is_same_v<std::decay_t<A>, at::Tensor>;

// body(layer, step), or body(layer) for one that does not ask for the step.
template <class Body, class Impl>
decltype(auto) call_body(Body& body, Impl& layer, std::uint32_t step) {
  if constexpr (std::is_invocable_v<Body&, Impl&, std::uint32_t>) {
    return body(layer, step);
  } else {
    return body(layer);
  }
}

template <class Body, class Impl>
using BodyResult =
    decltype(call_body(std::declval<Body&>(), std::declval<Impl&>(), std::uint32_t{}));

}  // namespace detail

// The quantizable twin of a layer class: same constructors, members, parameters, archives and
// results, and a place for the quantizers that apply() attaches. Without any it is the layer
// itself, bit for bit.
//
// Each call of a layer with quantized parameters runs in a copy of Impl (less than 2 us) whose
// tensors are the quantized ones: the parameters stay float, and gradients reach them as if they
// had been used. That is safe with several threads. What Impl::forward does to its own members,
// other than to tensors in place, is therefore lost.
//
// A class whose parameters are not members named as libtorch's layers name them says where they
// are:
//
//   struct ScaleImpl : torch::nn::Cloneable<ScaleImpl> {
//     ...
//     template <class F> void quantizable(F&& f) { f(alpha); f(beta); }
//     torch::Tensor alpha, beta;
//   };
//   using QScaleImpl = tensorquant::QLayer<ScaleImpl>;
//   TORCH_MODULE(QScale);
//
// What forward() returns may be a tensor or any nest of the standard's and libtorch's containers of
// them. A class of your own in it says where its tensors are, as above:
//
//   template <class F> void visit_tensors(F&& f) { f(scores); f(boxes); }
//
// Self is the class that derives from QLayer, if one does; clone() makes such objects.
template <class Impl, class Self = void,
          class Signature = typename detail::Signature<decltype(&Impl::forward)>::Type>
class QLayer;

template <class Impl, class Self, class R, class... A>
class QLayer<Impl, Self, R(A...)> : public Impl, public QuantizableLayer {
  static_assert(std::is_copy_constructible_v<Impl>, "forward() works on a copy of the layer");
  static_assert(!std::is_reference_v<R> && !std::is_void_v<R>,
                "forward() returns tensors by value");

 public:
  using Impl::Impl;

  // Neither overloaded nor a template: AnyModule and Sequential take its address.
  R forward(A... arguments) {
    if constexpr (detail::moves_one_tensor<Impl, R, A...>) {
      const bool drops = drops_values_v<Impl> && this->is_training();
      if (const auto values = drops ? nullptr : elements_of(arguments...)) {
        R output = compute(std::forward<A>(arguments)...);
        carry_elements(*values, output, [&](const at::Tensor& elements) {
          Impl copy(static_cast<const Impl&>(*this));
          return copy.Impl::forward(elements.clone());  // which may write in place
        });
        return output;
      }
    }
    return compute(std::forward<A>(arguments)...);
  }

  torch::nn::Module& module() override { return *this; }
  std::string type() const override {
    using Named = std::conditional_t<std::is_void_v<Self>, Impl, Self>;
    return detail::layer_type(c10::demangle(typeid(Named).name()));
  }
  bool only_moves_values() const override { return only_moves_values_v<Impl>; }
  TensorAxes weight_axes() const override { return weight_axes_v<Impl>; }
  int output_axis() const override { return output_axis_v<Impl>; }
  bool can_round_arithmetic() const override {
    const Impl& layer [[maybe_unused]] = *this;
    if constexpr (requires { RoundedForward<Impl>::covers(layer); }) {
      return RoundedForward<Impl>::covers(layer);
    } else {
      return detail::RoundsArithmetic<Impl, A...>;
    }
  }
  std::string opaque_result() const override {
    return detail::tensors_in<R>() == detail::Tensors::found ? "" : c10::demangle(typeid(R).name());
  }

  void train(bool on = true) override {
    invalidate();
    Impl::train(on);
  }
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override {
    invalidate();
    Impl::to(device, dtype, non_blocking);
  }
  void to(torch::Dtype dtype, bool non_blocking = false) override {
    invalidate();
    Impl::to(dtype, non_blocking);
  }
  void to(torch::Device device, bool non_blocking = false) override {
    invalidate();
    Impl::to(device, non_blocking);
  }
  void load(torch::serialize::InputArchive& archive) override {
    invalidate();
    Impl::load(archive);
  }
  std::shared_ptr<torch::nn::Module> clone(detail::CloneDevice device = {}) const override {
    using Twin = std::conditional_t<std::is_void_v<Self>, QLayer, Self>;
    const std::shared_ptr<torch::nn::Module> plain = Impl::clone(device);
    auto twin = std::make_shared<Twin>(static_cast<const Twin&>(*this));
    static_cast<Impl&>(*twin) = std::move(dynamic_cast<Impl&>(*plain));
    return twin;
  }

 protected:
  // body(layer), a call of one of Impl's functions: on a copy with quantized parameters where there
  // are quantizers, else on this layer. Tensors in the result are quantized.
  template <class Body>
  detail::BodyResult<Body, Impl> run(Body&& body) {
    const bool training = this->is_training();
    const std::uint32_t step = begin_call(training);
    if (!is_active()) return detail::call_body(body, static_cast<Impl&>(*this), step);
    auto result = run_quantized(body, training, step);
    static_assert(std::same_as<decltype(result), R> ||
                      detail::tensors_in<decltype(result)>() != detail::Tensors::opaque,
                  "nothing tells where the tensors of this result are");
    int index = 0;
    detail::ResultVisitor visitor([&](at::Tensor& tensor) { finish_output(tensor, step, index); },
                                  [&](const std::string& reason) { refuse_output(reason); });
    visitor.visit(result);
    return result;
  }

 private:
  R compute(A... arguments) {
    return run([&](Impl& layer, [[maybe_unused]] std::uint32_t step) -> R {
      if constexpr (detail::RoundsArithmetic<Impl, A...>) {
        if (rounds_arithmetic()) {
          std::optional<R> result;
          round_arithmetic(step, [&](const LayerArithmetic& arithmetic) {
            result.emplace(
                RoundedForward<Impl>::call(layer, arithmetic, std::forward<A>(arguments)...));
          });
          return *std::move(result);
        }
      }
      return layer.Impl::forward(std::forward<A>(arguments)...);
    });
  }

  template <class Body>
  detail::BodyResult<Body, Impl> run_quantized(Body& body, bool training, std::uint32_t step) {
    if (!quantizes_parameters()) {
      return detail::call_body(body, static_cast<Impl&>(*this), step);
    }
    Impl copy(static_cast<const Impl&>(*this));
    c10::SmallVector<at::Tensor*, 8> handles;
    detail::visit_parameter_handles(copy, [&](at::Tensor& x) { handles.push_back(&x); });
    quantize_parameters({handles.data(), handles.size()}, training, step);
    return detail::call_body(body, copy, step);
  }

  std::vector<at::Tensor> parameter_handles() override {
    Impl copy(static_cast<const Impl&>(*this));
    std::vector<at::Tensor> handles;
    detail::visit_parameter_handles(copy, [&](at::Tensor& x) { handles.push_back(x); });
    return handles;
  }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_LAYERS_Q_LAYER_H_
