#include "tensorquant/arithmetic/layers/elements.h"

#include <atomic>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <type_traits>
#include <variant>

#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/kernels.h"

namespace tensorquant {
namespace {

// Two bits fewer than T has: a quotient value / s, which is wrong in its last bits, is nearer to
// the element it was made of than to any other.
template <class T>
bool is_coarse(const ElementFormat& element) {
  constexpr bool kIsFloat = std::is_same_v<T, float>;
  const FloatingPoint type = {.exponent_bits = kIsFloat ? 8 : 11,
                              .significand_bits = kIsFloat ? 21 : 50};
  return std::visit(
      [&](const auto& f) {
        using F = std::decay_t<decltype(f)>;
        constexpr bool kIsTable = std::is_same_v<F, NormalFloat4> ||
                                  std::is_same_v<F, AdditivePowers> || std::is_same_v<F, Binary> ||
                                  std::is_same_v<F, Ternary> || std::is_same_v<F, Logarithmic>;
        return kIsTable || fits(f, type);
      },
      element);
}

// The format of the elements as they are stored: to the nearest, and of integers less a zero point.
template <class F>
F to_nearest(F format) {
  if constexpr (std::is_same_v<F, FixedPoint>) {
    format = unbounded(format);
    format.rounding = Rounding::even;
  } else if constexpr (std::is_same_v<F, FloatingPoint> || std::is_same_v<F, P3109>) {
    format.rounding = Rounding::even;
  }
  return format;
}

template <class T>
void round_to_elements(const ElementFormat& element, std::span<T> q) {
  std::visit(
      [&](const auto& f) {
        using F = std::decay_t<decltype(f)>;
        if constexpr (std::is_same_v<F, Binary> || std::is_same_v<F, Ternary>) {
          for (T& x : q) x = std::nearbyint(x);  // -1, 0 or 1
        } else {
          quantize(to_nearest(f), std::span<const T>(q), q);
        }
      },
      element);
}

template <class T>
T rounded_to_element(const ElementFormat& element, T x) {
  round_to_elements(element, std::span<T>(&x, 1));
  return x;
}

// The first other element on the way from q to a number of its sign; q where there is none.
template <class T>
T neighbour(const ElementFormat& element, T q, T end) {
  const auto element_at = [&](auto magnitude) {
    return rounded_to_element(element, std::copysign(from_bits<T>(magnitude), q));
  };
  auto near = to_bits(std::abs(q)), far = to_bits(end);
  if (element_at(far) == q) return q;
  for (auto middle = far; (middle = std::midpoint(near, far)) != near;) {
    (element_at(middle) == q ? near : far) = middle;
  }
  return element_at(far);
}

// Whether an element next to q has the same product, which lost bits that T's subnormal numbers do
// not have: q's own, or its neighbour's.
template <class T>
bool is_ambiguous(const ElementFormat& element, T scale, T q) {
  const T below = neighbour(element, q, T{0});
  const T above = neighbour(element, q, std::numeric_limits<T>::max());
  const auto is_same = [&](T other) { return other != q && scale * other == scale * q; };
  return is_same(below) || is_same(above);
}

// Calls visit(i, scale of i) for all elements, on all threads.
template <class T, class Visit>
void for_each_scale(std::size_t count, std::span<const T> scales, const Grouping& grouping,
                    const Visit& visit) {
  parallel_for(count, 1024, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin; i < end; ++i) {
      visit(i, scales[scales.size() <= 1 ? 0 : grouping.group_of(i)]);
    }
  });
}

}  // namespace

template <class T>
std::vector<T> elements_of(const std::string& what, const Scaled& format, std::span<const T> values,
                           std::span<const T> scales, const Grouping& grouping) {
  if (!is_coarse<T>(format.element)) {
    throw Error(what + " are of a format whose elements have as many bits as the tensor's type");
  }
  std::vector<T> q(values.size());
  if (values.empty()) return q;
  for_each_scale<T>(q.size(), scales, grouping, [&](std::size_t i, T scale) {
    q[i] = std::isfinite(values[i]) ? values[i] / scale : T{0};
  });
  round_to_elements<T>(format.element, q);
  std::atomic<bool> is_too_large = false, is_too_small = false;
  for_each_scale<T>(q.size(), scales, grouping, [&](std::size_t i, T scale) {
    if (!std::isfinite(values[i]) || values[i] == 0) {
      q[i] = values[i];
    } else if (std::isinf(scale * q[i])) {
      is_too_large = true;
    } else if (std::abs(values[i]) <= std::numeric_limits<T>::min() && scale * q[i] == values[i] &&
               is_ambiguous(format.element, scale, q[i])) {
      is_too_small = true;
    }
  });
  if (is_too_large) {
    throw Error(what + " have elements whose products with the scales are too large");
  }
  if (!stands_for(ScaledOperand<T>{q, scales, grouping}, values)) {
    throw Error(what + " are not elements of their format times their scales: were they changed?");
  }
  if (is_too_small) {
    throw Error(what + " have elements whose products with the scales are too small to tell them");
  }
  return q;
}

template std::vector<float> elements_of(const std::string&, const Scaled&, std::span<const float>,
                                        std::span<const float>, const Grouping&);
template std::vector<double> elements_of(const std::string&, const Scaled&, std::span<const double>,
                                         std::span<const double>, const Grouping&);

}  // namespace tensorquant
