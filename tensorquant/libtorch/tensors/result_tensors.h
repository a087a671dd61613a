#ifndef TENSORQUANT_LIBTORCH_TENSORS_RESULT_TENSORS_H_
#define TENSORQUANT_LIBTORCH_TENSORS_RESULT_TENSORS_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/util/SmallVector.h>
#include <torch/nn/utils/rnn.h>
#include <torch/ordered_dict.h>

#include <complex>
#include <concepts>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tensorquant::detail {

template <class T, template <class...> class Template>
inline constexpr bool is_a = false;
template <class... A, template <class...> class Template>
inline constexpr bool is_a<Template<A...>, Template> = true;

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
template <class T>
concept SmartPointer = is_a<T, std::shared_ptr> || is_a<T, std::unique_ptr>;
// A class that says itself where its tensors are.
template <class T>
concept ShowsTensors = requires(T& value) {
  value.visit_tensors([](auto&) {});
};
// What libtorch itself can look into when the program runs.
template <class T>
concept Boxed = std::same_as<T, c10::IValue> || is_a<T, c10::Dict> || is_a<T, c10::List>;
template <class T>
concept HoldsNoTensor = std::is_arithmetic_v<T> || std::is_enum_v<T> || is_a<T, std::complex> ||
    is_a<T, std::basic_string> || is_a<T, std::basic_string_view> || is_a<T, c10::complex> ||
    std::same_as<T, std::monostate> || std::same_as<T, c10::Scalar> || std::same_as<T, c10::Device>;

// What is known of a type of result: that it holds no tensor, or that each of its tensors can be
// found and replaced. `opaque`: neither.
enum class Tensors { none, found, opaque };

constexpr Tensors both(Tensors a, Tensors b) {
  return a == Tensors::none || b == Tensors::opaque ? b : a;
}

template <class T>
consteval Tensors tensors_in();

template <class T>
consteval Tensors tensors_in_elements() {
  if constexpr (is_a<T, std::variant>) {
    return []<class... A>(std::type_identity<std::variant<A...>>) {
      auto all = Tensors::none;
      ((all = both(all, tensors_in<A>())), ...);
      return all;
    }(std::type_identity<T>());
  } else if constexpr (TupleLike<T>) {
    return []<std::size_t... i>(std::index_sequence<i...>) {
      auto all = Tensors::none;
      ((all = both(all, tensors_in<std::tuple_element_t<i, T>>())), ...);
      return all;
    }
    (std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (OptionalLike<T>) {
    return tensors_in<std::remove_reference_t<decltype(*std::declval<T&>())>>();
  } else {
    using Reference = decltype(*std::declval<T&>().begin());
    using Element = std::iter_value_t<decltype(std::declval<T&>().begin())>;
    if constexpr (std::same_as<Element, T>) return Tensors::opaque;
    // The elements of a view are somebody else's, and a proxy is no place for a tensor.
    constexpr bool replaceable = std::same_as<Reference, Element&> && !std::ranges::enable_view<T>;
    return tensors_in<std::conditional_t<replaceable, Element, const Element>>();
  }
}

template <class T>
consteval Tensors tensors_in() {
  if constexpr (std::is_const_v<T>) {
    const Tensors inside = tensors_in<std::remove_const_t<T>>();
    return inside == Tensors::none ? inside : Tensors::opaque;
  } else if constexpr (std::same_as<T, at::Tensor> || Boxed<T> || ShowsTensors<T> ||
                       std::same_as<T, torch::nn::utils::rnn::PackedSequence>) {
    return Tensors::found;
  } else if constexpr (HoldsNoTensor<T>) {
    return Tensors::none;
  } else if constexpr (is_a<T, torch::OrderedDict>) {
    return tensors_in<std::remove_cvref_t<decltype(std::declval<T&>().front().value())>>();
  } else if constexpr (SmartPointer<T>) {
    using Held = typename T::element_type;  // a shared one may be replaced whole
    return tensors_in<
        std::conditional_t<is_a<T, std::shared_ptr>, std::remove_const_t<Held>, Held>>();
  } else if constexpr (is_a<T, std::variant> || TupleLike<T> || OptionalLike<T> || RangeLike<T>) {
    return tensors_in_elements<T>();
  } else {
    return Tensors::opaque;
  }
}

using VisitTensor = std::function<void(at::Tensor&)>;
using Refuse = std::function<void(const std::string& reason)>;
// The tensors in a list, dictionary or tuple of libtorch's interpreter. The value becomes a copy
// of itself, for such values are shared.
void visit_boxed(c10::IValue& value, const VisitTensor& visit, const Refuse& refuse);

// Calls f(tensor), which may replace the tensor, for each tensor in what a layer returns, in order.
//
// A result is a value: whoever else holds a part of it sees no change. So an object that is shared
// is replaced by a copy of itself, the same copy in each place. A tensor in two places is visited
// once, and is one tensor again afterwards. refuse(reason) is called for what cannot be looked
// into; opaque types are passed over.
template <class F, class R>
class ResultVisitor {
 public:
  ResultVisitor(F f, R refuse) : f_(std::move(f)), refuse_(std::move(refuse)) {}

  template <class T>
  void visit(T& value) {
    if constexpr (std::same_as<T, at::Tensor>) {
      visit_tensor(value);
    } else if constexpr (std::is_const_v<T> || HoldsNoTensor<T>) {
      return;
    } else if constexpr (ShowsTensors<T>) {
      value.visit_tensors([this]<class Part>(Part& part) {
        static_assert(tensors_in<Part>() != Tensors::opaque,
                      "visit_tensors(f) calls f on tensors and containers of them");
        visit(part);
      });
    } else if constexpr (std::same_as<T, torch::nn::utils::rnn::PackedSequence>) {
      at::Tensor data = value.data();
      const T old = std::move(value);  // which holds on to the old data until f is done
      visit_tensor(data);
      value = T(data, old.batch_sizes(), old.sorted_indices(), old.unsorted_indices());
    } else if constexpr (Boxed<T>) {
      c10::IValue boxed(std::move(value));
      visit_boxed(
          boxed, [this](at::Tensor& x) { visit_tensor(x); }, refuse_);
      value = std::move(boxed).template to<T>();
    } else if constexpr (is_a<T, torch::OrderedDict>) {
      for (auto& item : value) visit(item.value());
    } else if constexpr (is_a<T, std::shared_ptr>) {
      if constexpr (tensors_in<T>() == Tensors::found) visit_shared(value);
    } else if constexpr (is_a<T, std::unique_ptr>) {
      if (value != nullptr) visit(*value);
    } else if constexpr (is_a<T, std::variant>) {
      if (!value.valueless_by_exception()) std::visit([this](auto& held) { visit(held); }, value);
    } else if constexpr (TupleLike<T>) {
      std::apply([this](auto&... elements) { (visit(elements), ...); }, value);
    } else if constexpr (OptionalLike<T>) {
      if (value.has_value()) visit(*value);
    } else if constexpr (RangeLike<T>) {
      if constexpr (tensors_in_elements<T>() == Tensors::found) {
        for (auto& element : value) visit(element);
      }
    }
  }

 private:
  void visit_tensor(at::Tensor& x) {
    if (!x.defined() || x.use_count() == 1) return f_(x);
    for (const auto& [before, after] : tensors_) {
      if (!before.is_same(x)) continue;
      x = after;
      return;
    }
    const at::Tensor before = x;
    f_(x);
    tensors_.emplace_back(before, x);
  }

  template <class T>
  void visit_shared(std::shared_ptr<T>& pointer) {
    using Value = std::remove_const_t<T>;
    if (pointer == nullptr) return;
    for (const auto& [before, after] : objects_) {
      if (before != pointer) continue;
      pointer = std::static_pointer_cast<Value>(after);
      return;
    }
    if constexpr (!std::is_const_v<T>) {
      if (pointer.use_count() == 1) return visit(*pointer);
    }
    if constexpr (std::is_copy_constructible_v<Value> && !std::is_polymorphic_v<Value>) {
      auto copy = std::make_shared<Value>(*pointer);
      visit(*copy);
      objects_.emplace_back(std::const_pointer_cast<Value>(pointer), copy);
      pointer = std::move(copy);
    } else {
      refuse_(
          "forward() returns an object that somebody else holds too, and whose class cannot be "
          "copied");
    }
  }

  F f_;
  R refuse_;
  c10::SmallVector<std::pair<at::Tensor, at::Tensor>, 2> tensors_;  // before and after
  std::vector<std::pair<std::shared_ptr<void>, std::shared_ptr<void>>> objects_;  // likewise
};

}  // namespace tensorquant::detail

#endif  // TENSORQUANT_LIBTORCH_TENSORS_RESULT_TENSORS_H_
