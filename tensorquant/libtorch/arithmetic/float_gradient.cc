#include "tensorquant/libtorch/arithmetic/float_gradient.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstddef>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

struct SavedForward : torch::CustomClassHolder {
  explicit SavedForward(FloatForward function) : function(std::move(function)) {}
  FloatForward function;
};

// A node of the graph takes no undefined tensors.
at::Tensor or_missing(const at::Tensor& x) { return x.defined() ? x : at::empty({0}); }

// Gives a result the gradients that function(a, b, c) has.
struct RoundedFunction : torch::autograd::Function<RoundedFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* graph, const at::Tensor& a,
                            const at::Tensor& b, const at::Tensor& c, const RoundedResult& result,
                            const FloatForward& function) {
    graph->set_materialize_grads(false);
    graph->save_for_backward({a, b, c, result.outside});
    graph->saved_data["function"] =
        at::IValue::make_capsule(c10::make_intrusive<SavedForward>(function));
    return result.y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* graph,
                                                 torch::autograd::variable_list gradients) {
    torch::autograd::variable_list result(5);
    if (!gradients[0].defined()) return result;
    if (at::GradMode::is_enabled()) {
      throw Error("the gradient of rounded arithmetic has no gradient of its own");
    }
    const auto capsule = graph->saved_data["function"].toCapsule();
    const FloatForward& function = static_cast<const SavedForward&>(*capsule).function;
    const auto saved = graph->get_saved_variables();
    at::Tensor dy = gradients[0];
    if (saved[3].defined()) dy = dy.masked_fill(saved[3], 0);

    at::Tensor inputs[3];
    torch::autograd::variable_list wanted;
    for (std::size_t i = 0; i < 3; ++i) {
      inputs[i] = saved[i].detach();
      if (!graph->needs_input_grad(i)) continue;
      inputs[i].requires_grad_();
      wanted.push_back(inputs[i]);
    }
    const at::AutoGradMode with_gradients(true);
    const at::Tensor y = function(inputs[0], inputs[1], inputs[2]);
    const auto found = torch::autograd::grad({y}, wanted, {dy}, /*retain_graph=*/false,
                                             /*create_graph=*/false, /*allow_unused=*/true);
    for (std::size_t i = 0, next = 0; i < 3; ++i) {
      if (inputs[i].requires_grad()) result[i] = found[next++];
    }
    return result;
  }
};

bool is_differentiated(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

}  // namespace

at::Tensor with_gradient(const RoundedResult& result, const at::Tensor& a, const at::Tensor& b,
                         const at::Tensor& c, const FloatForward& function) {
  if (!at::GradMode::is_enabled() ||
      !(is_differentiated(a) || is_differentiated(b) || is_differentiated(c))) {
    return result.y;
  }
  const auto with_missing = [function, has_b = b.defined(), has_c = c.defined()](
                                const at::Tensor& x, const at::Tensor& y, const at::Tensor& z) {
    return function(x, has_b ? y : at::Tensor(), has_c ? z : at::Tensor());
  };
  return RoundedFunction::apply(a, or_missing(b), or_missing(c), result, with_missing);
}

}  // namespace tensorquant
