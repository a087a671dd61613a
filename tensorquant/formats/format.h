#ifndef TENSORQUANT_FORMATS_FORMAT_H_
#define TENSORQUANT_FORMATS_FORMAT_H_

#include <concepts>
#include <cstddef>
#include <span>
#include <variant>

#include "tensorquant/base/random.h"
#include "tensorquant/formats/binary.h"
#include "tensorquant/formats/context.h"
#include "tensorquant/formats/fixed_point.h"
#include "tensorquant/formats/floating_point.h"
#include "tensorquant/formats/identity.h"
#include "tensorquant/formats/logarithmic.h"
#include "tensorquant/formats/sparse.h"
#include "tensorquant/formats/ternary.h"

namespace tensorquant {

// Every number format, as plain data.
using Format =
    std::variant<Identity, FixedPoint, FloatingPoint, Logarithmic, Sparse, Binary, Ternary>;

// A format that can round at random.
template <class F>
concept RoundsAtRandom = requires(const F& format) {
  { format.rounding } -> std::convertible_to<Rounding>;
  { format.random_bits } -> std::convertible_to<int>;
};

template <class F>
bool is_random(const F& format) {
  if constexpr (RoundsAtRandom<F>) {
    return format.rounding == Rounding::stochastic;
  } else {
    return false;
  }
}

// The random bits of element `index` of a tensor.
template <RoundsAtRandom F>
Draw draw(const F& format, const RandomStream& random, std::size_t index) {
  if (!is_random(format)) return {};
  const bool half = draws_half_words(format.random_bits);
  return {half ? random_half_word(random, index) : random_word(random, index), format.random_bits};
}

// The definition of quantization for a whole tensor in C order: out[i] from in[i], i, and for
// Ternary all of `in`.
template <class F, class T>
void quantize_reference(const F& format, std::span<const T> in, std::span<T> out,
                        const Context& context = {}) {
  if constexpr (std::same_as<F, Ternary>) {
    const double threshold = threshold_reference(format, in);
    for (std::size_t i = 0; i < in.size(); ++i) {
      out[i] = quantize_reference(format, in[i], threshold);
    }
  } else {
    for (std::size_t i = 0; i < in.size(); ++i) {
      if constexpr (RoundsAtRandom<F>) {
        out[i] = quantize_reference(format, in[i], draw(format, context.random(), i));
      } else {
        out[i] = quantize_reference(format, in[i]);
      }
    }
  }
}

// dx = dy where x lies within the format's extreme values, else 0; NaN gives 0.
template <class F, class T>
void clipped_gradient_reference(const F& format, std::span<const T> x, std::span<const T> dy,
                                std::span<T> dx) {
  const Bounds<T> limits = bounds<T>(format);
  for (std::size_t i = 0; i < x.size(); ++i) {
    dx[i] = limits.lowest <= x[i] && x[i] <= limits.highest ? dy[i] : T{0};
  }
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FORMAT_H_
