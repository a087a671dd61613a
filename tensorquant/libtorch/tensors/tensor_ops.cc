#include "tensorquant/libtorch/tensors/tensor_ops.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/quantizers/clipped_gradient.h"

namespace tensorquant {
namespace {

void check_supported(const at::Tensor& x) {
  if (!x.defined()) throw Error("cannot quantize an undefined tensor");
  if (x.layout() != at::kStrided || !x.device().is_cpu() ||
      (x.scalar_type() != at::kFloat && x.scalar_type() != at::kDouble)) {
    throw Error("cannot quantize a tensor of type " + x.toString() +
                ": only dense float32 and float64 tensors on the CPU can be quantized");
  }
}

bool needs_no_copy(const at::Tensor& x, const Quantizer& quantizer) {
  if (x.is_neg()) return false;
  return x.is_contiguous() || (x.is_non_overlapping_and_dense() && is_elementwise(quantizer));
}

bool needs_gradient(const at::Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

template <class T>
std::span<T> values(const at::Tensor& x) {
  return {x.data_ptr<std::remove_const_t<T>>(), static_cast<std::size_t>(x.numel())};
}

// Elements in the order of memory; both tensors have one layout.
void quantize_memory(const at::Tensor& in, const at::Tensor& out, const Quantizer& quantizer,
                     const Context& context) {
  if (in.numel() == 0) return;
  if (in.scalar_type() == at::kFloat) {
    quantizer.quantize(values<const float>(in), values<float>(out), context);
  } else {
    quantizer.quantize(values<const double>(in), values<double>(out), context);
  }
}

// A tensor that may be overwritten and holds the values of x in C order.
at::Tensor contiguous_copy(const at::Tensor& x) {
  return x.resolve_neg().clone(at::MemoryFormat::Contiguous);
}

// Values only: no gradient.
at::Tensor quantize_values(const at::Tensor& x, const Quantizer& quantizer,
                           const Context& context) {
  const at::NoGradGuard no_gradient;
  at::Tensor out = at::empty_like(x);  // of x's strides where x is dense
  if (needs_no_copy(x, quantizer)) {
    quantize_memory(x, out, quantizer, context);
    return out;
  }
  const at::Tensor ordered = contiguous_copy(x);
  quantize_memory(ordered, ordered, quantizer, context);
  return out.is_contiguous() ? ordered : out.copy_(ordered);
}

// True where a gradient passes the quantizer, which clips gradients; in the order of x's memory.
at::Tensor inside_of(const at::Tensor& x, const Quantizer& quantizer, const Context& context) {
  const at::NoGradGuard no_gradient;
  const bool is_ordered =
      has_elementwise_gradient(quantizer) ? x.is_non_overlapping_and_dense() : x.is_contiguous();
  const at::Tensor in = is_ordered && !x.is_neg() ? x : contiguous_copy(x);
  at::Tensor inside = at::empty_like(in, in.options().dtype(at::kBool));
  if (in.scalar_type() == at::kFloat) {
    find_inside<float>(quantizer, values<const float>(in), values<bool>(inside), context);
  } else {
    find_inside<double>(quantizer, values<const double>(in), values<bool>(inside), context);
  }
  return inside;
}

// dy where `passes` is more than zero or NaN, else 0, bit for bit. An embedding's gradient may be
// sparse, and stays so: each of its values belongs to one element of x.
at::Tensor where_passes(const at::Tensor& passes, const at::Tensor& dy) {
  // libtorch's where() and masked_fill() take twenty times as long.
  if (!dy.is_sparse()) return at::threshold_backward(dy, passes.to(dy.scalar_type()), 0);
  const at::Tensor indices = dy._indices(), values = dy._values();
  c10::List<c10::optional<at::Tensor>> elements;
  for (const at::Tensor& index : indices.unbind(0)) elements.push_back(index);
  const at::Tensor dx = at::_sparse_coo_tensor_unsafe(
      indices, where_passes(passes.index(elements), values), dy.sizes(), values.options());
  return dx._coalesced_(dy.is_coalesced());
}

// A gradient that asks of x only where it lies: one byte an element is kept, which nobody can
// change, while layers in place may well change x and y.
struct ClippedFunction : torch::autograd::Function<ClippedFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* graph, const at::Tensor& x,
                            const std::shared_ptr<const Quantizer>& quantizer,
                            const Context& context) {
    graph->set_materialize_grads(false);
    graph->save_for_backward({inside_of(x, *quantizer, context)});
    return quantize_values(x, *quantizer, context);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* graph,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor& dy = gradients[0];
    if (!dy.defined()) return {at::Tensor(), at::Tensor(), at::Tensor()};
    return {where_passes(graph->get_saved_variables()[0], dy), at::Tensor(), at::Tensor()};
  }
};

struct SavedCall : torch::CustomClassHolder {
  SavedCall(std::shared_ptr<const Quantizer> its_quantizer, const Context& its_context)
      : quantizer(std::move(its_quantizer)), context(its_context) {}
  std::shared_ptr<const Quantizer> quantizer;
  Context context;
};

template <class T>
at::Tensor input_gradient(const SavedCall& call, const at::Tensor& x, const at::Tensor& y,
                          const at::Tensor& dy) {
  const at::Tensor x_ordered = x.contiguous(), y_ordered = y.contiguous();
  const at::Tensor dy_ordered = dy.contiguous();
  const at::Tensor dx = at::empty(x.sizes(), x_ordered.options());
  if (x.numel() > 0) {
    call.quantizer->gradient(values<const T>(x_ordered), values<const T>(y_ordered),
                             values<const T>(dy_ordered), values<T>(dx), call.context);
  }
  return dx;
}

// A user's own gradient, of which nothing is known: the node keeps the quantizer, its input and its
// output. The output is a copy, because a layer in place may follow; who changes the input before
// the backward pass gets libtorch's error.
struct QuantizeFunction : torch::autograd::Function<QuantizeFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* graph, const at::Tensor& x,
                            const std::shared_ptr<const Quantizer>& quantizer,
                            const Context& context) {
    graph->set_materialize_grads(false);
    at::Tensor y = quantize_values(x, *quantizer, context);
    graph->save_for_backward({x, y.clone()});
    graph->saved_data["call"] =
        at::IValue::make_capsule(c10::make_intrusive<SavedCall>(quantizer, context));
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* graph,
                                                 torch::autograd::variable_list gradients) {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor(), at::Tensor()};
    const auto capsule = graph->saved_data["call"].toCapsule();
    const auto& call = static_cast<const SavedCall&>(*capsule);
    if (at::GradMode::is_enabled()) {
      throw Error("the gradient of " + call.quantizer->spec() + " has no gradient of its own");
    }
    const at::Tensor dy = gradients[0].is_sparse() ? gradients[0].to_dense() : gradients[0];
    const auto saved = graph->get_saved_variables();
    at::Tensor dx = dy.scalar_type() == at::kFloat
                        ? input_gradient<float>(call, saved[0], saved[1], dy)
                        : input_gradient<double>(call, saved[0], saved[1], dy);
    return {std::move(dx), at::Tensor(), at::Tensor()};
  }
};

// out = q(relu(in)) for a quantizer that takes elements one by one; both tensors have one layout.
// Each piece is rectified and quantized while it is in the cache. libtorch's own relu, because it
// decides about NaN and -0.
void quantize_relu_memory(const at::Tensor& in, const at::Tensor& out, const Quantizer& quantizer,
                          const Context& context) {
  constexpr std::size_t kPiece = 32768;
  const auto size = static_cast<std::size_t>(in.numel());
  if (size <= kPiece) {  // without views of it, which take as long as the numbers
    at::Tensor whole = out;
    at::clamp_min_out(whole, in, 0);
    quantize_memory(out, out, quantizer, context);
    return;
  }
  const at::Tensor from = in.as_strided({in.numel()}, {1}), to = out.as_strided({in.numel()}, {1});
  const bool inference = c10::InferenceMode::is_enabled();
  parallel_for(size, kPiece, [&](std::size_t begin, std::size_t end) {
    const c10::InferenceMode mode(inference);  // these settings are the thread's
    const at::NoGradGuard no_gradient;
    for (std::size_t i = begin; i < end; i += kPiece) {
      const auto first = static_cast<std::int64_t>(i);
      const auto count = static_cast<std::int64_t>(std::min(kPiece, end - i));
      at::Tensor piece = to.narrow(0, first, count);
      at::clamp_min_out(piece, from.narrow(0, first, count), 0);
      quantize_memory(piece, piece, quantizer, context);
    }
  });
}

// relu, whose node keeps its input or where that passes: libtorch's keeps the result, which a
// quantizer could then not overwrite. An input that others see may change before the backward pass.
// With a quantizer, q(relu(x)) with a straight-through gradient.
struct ReluFunction : torch::autograd::Function<ReluFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* graph, const at::Tensor& x,
                            bool is_exclusive, const Quantizer* quantizer, const Context& context) {
    graph->set_materialize_grads(false);
    graph->save_for_backward({is_exclusive ? x : at::le(x, 0).logical_not_()});
    if (quantizer == nullptr) return at::relu(x);
    const at::Tensor y = at::empty_like(x);
    quantize_relu_memory(x, y, *quantizer, context);
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* graph,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor& dy = gradients[0];
    if (!dy.defined()) return torch::autograd::variable_list(4);
    return {where_passes(graph->get_saved_variables()[0], dy), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor quantize(const at::Tensor& x, const std::shared_ptr<const Quantizer>& quantizer,
                    const Context& context) {
  check_supported(x);
  if (!needs_gradient(x) || quantizer->is_straight_through()) {
    return quantize(x, *quantizer, context);
  }
  return clips_gradient(*quantizer) ? ClippedFunction::apply(x, quantizer, context)
                                    : QuantizeFunction::apply(x, quantizer, context);
}

at::Tensor quantize(const at::Tensor& x, const Quantizer& quantizer, const Context& context) {
  check_supported(x);
  if (!needs_gradient(x)) return quantize_values(x, quantizer, context);
  if (!quantizer.is_straight_through()) {
    throw Error("quantizing with " + quantizer.spec() +
                " under gradients needs a shared pointer to the quantizer");
  }
  at::Tensor y = quantize_values(x, quantizer, context);
  // y takes the place of x in the graph: what reaches y in the backward pass is what x gets.
  torch::autograd::impl::set_gradient_edge(y, torch::autograd::impl::gradient_edge(x));
  return y;
}

at::Tensor quantize_(at::Tensor x, const Quantizer& quantizer, const Context& context) {
  check_supported(x);
  if (needs_gradient(x)) {
    throw Error("quantize_ overwrites data and records no gradient: use quantize, or NoGradGuard");
  }
  if (needs_no_copy(x, quantizer)) {
    quantize_memory(x, x, quantizer, context);
    torch::autograd::impl::bump_version(x);
  } else {
    const at::NoGradGuard no_gradient;
    const at::Tensor ordered = contiguous_copy(x);
    quantize_memory(ordered, ordered, quantizer, context);
    x.copy_(ordered);
  }
  return x;
}

QuantizerReport report_of(const at::Tensor& x, const Quantizer& quantizer, const Context& context) {
  check_supported(x);
  const at::NoGradGuard no_gradient;
  const at::Tensor ordered = x.is_contiguous() && !x.is_neg() ? x : contiguous_copy(x);
  return ordered.scalar_type() == at::kFloat
             ? report_of<float>(quantizer, values<const float>(ordered), context)
             : report_of<double>(quantizer, values<const double>(ordered), context);
}

bool is_exclusive(const at::Tensor& x) {
  // from_blob() makes storages that cannot be resized.
  return x.defined() && x.use_count() == 1 && x.has_storage() && x.storage().use_count() == 1 &&
         x.storage().resizable();
}

at::Tensor quantize_consuming(at::Tensor&& x, const std::shared_ptr<const Quantizer>& quantizer,
                              const Context& context) {
  check_supported(x);
  if (!is_exclusive(x) || !needs_no_copy(x, *quantizer) ||
      (needs_gradient(x) && !quantizer->is_straight_through())) {
    return quantize(x, quantizer, context);
  }
  quantize_memory(x, x, *quantizer, context);
  return std::move(x);
}

at::Tensor quantize_relu_consuming(at::Tensor&& x,
                                   const std::shared_ptr<const Quantizer>& quantizer,
                                   const Context& context) {
  check_supported(x);
  const bool one_pass = x.is_non_overlapping_and_dense() && !x.is_neg() &&
                        is_elementwise(*quantizer) && quantizer->is_straight_through();
  if (needs_gradient(x)) {
    at::Tensor y =
        ReluFunction::apply(x, is_exclusive(x), one_pass ? quantizer.get() : nullptr, context);
    return one_pass ? y : quantize_consuming(std::move(y), quantizer, context);
  }
  if (!one_pass) return quantize_consuming(at::relu(x), quantizer, context);
  const at::NoGradGuard no_gradient;
  const at::Tensor y = is_exclusive(x) ? x : at::empty_like(x);
  quantize_relu_memory(x, y, *quantizer, context);
  return y;
}

}  // namespace tensorquant
