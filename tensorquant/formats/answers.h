#ifndef TENSORQUANT_FORMATS_ANSWERS_H_
#define TENSORQUANT_FORMATS_ANSWERS_H_

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "tensorquant/base/random.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/context.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

struct FloatingPoint;

// A format whose results may depend on random bits takes them behind the number.
template <class F>
concept TakesDraw = requires(const F& format, float x, Draw draw) {
  quantize_reference(format, x, draw);
};

// The random bits of element `index` of a tensor.
template <TakesDraw F>
Draw draw(const F& format, const RandomStream& random, std::size_t index) {
  if (!is_random(format)) return {};
  const bool half = draws_half_words(format.random_bits);
  return {half ? random_half_word(random, index) : random_word(random, index), format.random_bits};
}

// The definition of quantization for a whole tensor in C order, for formats whose results depend on
// their own number and its place alone; others define it themselves.
template <class F, class T>
requires requires(const F& format, T x) { quantize_reference(format, x); }
void quantize_reference(const F& format, std::span<const T> in, std::span<T> out,
                        const Context& context = {}) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    if constexpr (TakesDraw<F>) {
      out[i] = quantize_reference(format, in[i], draw(format, context.random(), i));
    } else {
      out[i] = quantize_reference(format, in[i]);
    }
  }
}

// Whether a finite number overflows, as element `index` of a tensor: IEEE 754's word for a rounded
// number beyond the format's extreme values, whatever then becomes of it. Of formats that are lists
// of numbers, where no rounding leads back to the last ones, all beyond these do.
template <class F, class T>
requires requires(const F& format, T x) { overflows(format, x); }
bool overflows(const F& format, T x, const RandomStream& random, std::size_t index) {
  if constexpr (TakesDraw<F>) {
    return overflows(format, x, draw(format, random, index));
  } else {
    return overflows(format, x);
  }
}

// Which numbers of a tensor are finite and overflow. Formats that find their extreme values in the
// tensor define it themselves.
template <class F, class T>
requires requires(const F& format, T x) { overflows(format, x); }
void overflows_reference(const F& format, std::span<const T> x, std::span<bool> over,
                         const Context& context = {}) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    over[i] = std::isfinite(x[i]) && overflows(format, x[i], context.random(), i);
  }
}

// Of a grid alone: whether doubles hold its values, and below them what its roundings look at.
template <class F>
concept GridOfDoublesIsKnown = !F::is_grid || requires(const F& format) {
  { fits_doubles(format) } -> std::same_as<bool>;
};

// What each format answers for itself, in its own header; its fields (quantizers/format_fields.h),
// its kernel (kernels/) and, where it is a grid, arithmetic's questions (arithmetic/grid_format.h)
// come on top. There is no answer by default: a format that lacks one does not compile.
template <class F>
concept AnswersForItself = std::equality_comparable<F> && GridOfDoublesIsKnown<F> &&
    requires(const F& format, const FloatingPoint& type, std::span<const float> in,
             std::span<float> out, std::span<bool> over, const Context& context) {
  // Whether arithmetic can round exact products and sums to it.
  { F::is_grid } -> std::same_as<const bool&>;
  { bounds<float>(format) } -> std::same_as<Bounds<float>>;
  { bounds<double>(format) } -> std::same_as<Bounds<double>>;
  // Whether results depend on seed, stream and step.
  { is_random(format) } -> std::same_as<bool>;
  // Whether a result depends on its own number alone: not on the others of the tensor, nor on
  // its place among them.
  { is_elementwise(format) } -> std::same_as<bool>;
  { facts<float>(format) } -> std::same_as<FormatFacts>;
  { facts<double>(format) } -> std::same_as<FormatFacts>;
  // All finite values in ascending order, +0 and -0 as one; empty where they are the tensor
  // type's own. Asked only where facts() count few.
  { values<float>(format) } -> std::same_as<std::vector<double>>;
  { values<double>(format) } -> std::same_as<std::vector<double>>;
  // Whether the float type has every finite value that the format gives to its numbers.
  { fits(format, type) } -> std::same_as<bool>;
  quantize_reference(format, in, out, context);
  overflows_reference(format, in, over, context);
};

// dx = dy where x lies within the format's extreme values, else 0; NaN gives 0. Formats that find
// these in the tensor define it themselves.
template <class F, class T>
void clipped_gradient_reference(const F& format, std::span<const T> x, std::span<const T> dy,
                                std::span<T> dx, const Context& = {}) {
  const Bounds<T> limits = bounds<T>(format);
  for (std::size_t i = 0; i < x.size(); ++i) {
    dx[i] = limits.lowest <= x[i] && x[i] <= limits.highest ? dy[i] : T{0};
  }
}

// The answers of whichever format it is. Templates, so that no format becomes a variant on the way
// to an answer that it lacks.
template <class... F>
bool is_random(const std::variant<F...>& format) {
  return std::visit([](const auto& f) { return is_random(f); }, format);
}
template <class... F>
bool is_elementwise(const std::variant<F...>& format) {
  return std::visit([](const auto& f) { return is_elementwise(f); }, format);
}
// Whether arithmetic can round to it.
template <class... F>
bool is_grid_of_doubles(const std::variant<F...>& format) {
  return std::visit(
      [](const auto& f) {
        if constexpr (std::decay_t<decltype(f)>::is_grid) {
          return fits_doubles(f);
        } else {
          return false;
        }
      },
      format);
}
template <class... F>
bool fits(const std::variant<F...>& format, const FloatingPoint& type) {
  return std::visit([&](const auto& f) { return fits(f, type); }, format);
}
template <class T, class... F>
FormatFacts facts(const std::variant<F...>& format) {
  return std::visit([](const auto& f) { return facts<T>(f); }, format);
}
// Empty, too, where there are more than `at_most`.
template <class T, class... F>
std::vector<double> values(const std::variant<F...>& format, std::size_t at_most) {
  const std::optional<std::uint64_t> count = facts<T>(format).count;
  if (!count || *count > at_most) return {};
  return std::visit([](const auto& f) { return values<T>(f); }, format);
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_ANSWERS_H_
