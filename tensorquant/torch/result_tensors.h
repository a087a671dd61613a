#ifndef TENSORQUANT_TORCH_RESULT_TENSORS_H_
#define TENSORQUANT_TORCH_RESULT_TENSORS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/utils/rnn.h>

#include <concepts>
#include <tuple>
#include <utility>

namespace tensorquant::detail {

template <class T>
concept TupleLike = requires {
  std::tuple_size<T>::value;
};
template <class T>
concept OptionalLike = requires(T& value) {
  value.has_value();
  *value;
};
template <class T>
concept RangeLike = requires(T& value) {
  value.begin();
  value.end();
};

// f(tensor) for each tensor in what a layer returns, in order: a tensor, or tuples, vectors and
// optionals of them, nested as they come. Anything else is passed over.
template <class T, class F>
void visit_result_tensors(T& value, F& f) {
  if constexpr (std::same_as<T, at::Tensor>) {
    f(value);
  } else if constexpr (std::same_as<T, torch::nn::utils::rnn::PackedSequence>) {
    at::Tensor data = value.data();
    const T old = std::move(value);  // which holds on to the old data until f is done
    f(data);
    value = T(data, old.batch_sizes(), old.sorted_indices(), old.unsorted_indices());
  } else if constexpr (TupleLike<T>) {
    std::apply([&f](auto&... elements) { (visit_result_tensors(elements, f), ...); }, value);
  } else if constexpr (OptionalLike<T>) {
    if (value.has_value()) visit_result_tensors(*value, f);
  } else if constexpr (RangeLike<T>) {
    for (auto& element : value) visit_result_tensors(element, f);
  }
}

}  // namespace tensorquant::detail

#endif  // TENSORQUANT_TORCH_RESULT_TENSORS_H_
