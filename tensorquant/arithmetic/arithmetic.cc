#include "tensorquant/arithmetic/arithmetic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

Format grid_format(const Quantizer& quantizer, const char* place) {
  const Format* format = quantizer.format();
  const bool rounds_to_grid = format != nullptr && !std::holds_alternative<Sparse>(*format) &&
                              !std::holds_alternative<Binary>(*format) &&
                              !std::holds_alternative<Ternary>(*format);
  if (!rounds_to_grid) {
    throw Error("'" + quantizer.spec() + "' cannot be " + place +
                ": expected fixed point, a float, logarithmic or none");
  }
  return *format;
}

}  // namespace

Arithmetic make_arithmetic(const Quantizer& product, const Quantizer& accumulator,
                           const Accumulate& accumulate) {
  return {grid_format(product, "the format of a product"),
          grid_format(accumulator, "the format of an accumulator"), accumulate};
}

Draw draw(const Format& format, const RandomStream& random, std::uint64_t index,
          std::uint32_t tap) {
  return std::visit(
      [&](const auto& f) -> Draw {
        using F = std::decay_t<decltype(f)>;
        if constexpr (RoundsAtRandom<F>) {
          if (!is_random(f)) return {};
          return {draws_half_words(f.random_bits) ? random_half_word(random, index, tap)
                                                  : random_word(random, index, tap),
                  f.random_bits};
        } else {
          return {};
        }
      },
      format);
}

void RangeReport::merge(const RangeReport& other) {
  products += other.products;
  clamped_products += other.clamped_products;
  sums += other.sums;
  clamped_sums += other.clamped_sums;
  largest_product = std::max(largest_product, other.largest_product);
  lowest_sum = std::min(lowest_sum, other.lowest_sum);
  highest_sum = std::max(highest_sum, other.highest_sum);
}

int RangeReport::sufficient_bits(int fraction) const {
  int bits = 1;
  while (-std::ldexp(1.0, bits - 1 - fraction) > lowest_sum ||
         std::ldexp(1.0, bits - 1 - fraction) - std::ldexp(1.0, -fraction) < highest_sum) {
    ++bits;
  }
  return bits;
}

template <class T>
Bounds<double> ends_of(const Format& format) {
  return std::visit(
      [](const auto& f) -> Bounds<double> {
        using F = std::decay_t<decltype(f)>;
        if constexpr (std::is_same_v<F, FixedPoint>) {
          return bounds<double>(f);
        } else if constexpr (std::is_same_v<F, Identity>) {
          constexpr double kLargest = std::numeric_limits<T>::max();
          return {-kLargest, kLargest};
        } else {
          const Bounds<T> ends = bounds<T>(f);  // which are all values of T
          return {ends.lowest, ends.highest};
        }
      },
      format);
}

bool is_random(const Format& format) {
  return std::visit([](const auto& f) { return is_random(f); }, format);
}

template <class T>
T to_type(const Format& format, double x) {
  if (std::isnan(x)) return std::numeric_limits<T>::quiet_NaN();
  if (const auto* fixed = std::get_if<FixedPoint>(&format)) {
    return std::min(static_cast<T>(x), bounds<T>(*fixed).highest);
  }
  return static_cast<T>(x);
}

template Bounds<double> ends_of<float>(const Format&);
template Bounds<double> ends_of<double>(const Format&);
template float to_type<float>(const Format&, double);
template double to_type<double>(const Format&, double);

}  // namespace tensorquant
