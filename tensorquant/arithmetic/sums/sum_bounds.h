#ifndef TENSORQUANT_ARITHMETIC_SUMS_SUM_BOUNDS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SUM_BOUNDS_H_

#include <cmath>
#include <cstddef>
#include <span>

#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// What the factors' ranges prove about products and sums of finite factors: what every plan is
// argued from.
struct SumBounds {
  SumBounds(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums);
  // Of the sums of each segment by itself: segment i ends before tap ends[i].
  SumBounds(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums,
            std::span<const std::size_t> ends, bool has_bias = false);

  // The product's format changes no product.
  bool product_is_exact() const;
  // No rounded product is larger, in magnitude.
  double largest_product() const;
  // The last bit of all rounded products.
  int rounded_last_bit() const;
  // The accumulator's format changes no partial sum of numbers with that last bit.
  bool sum_is_exact(int last_bit) const;

  bool factors_are_finite() const { return a.is_finite && b.is_finite; }
  // Nothing rounds before the last tap.
  bool sums_are_exact() const {
    return product_is_exact() && (rounds_at_the_end() || sum_is_exact(last_bit));
  }
  bool rounds_at_the_end() const { return mode == Accumulate::Mode::once; }
  double taps() const { return static_cast<double>(most_taps); }  // of a sum

  const Arithmetic& arithmetic;
  const SumsOfProducts<float>& sums;
  const Accumulate::Mode mode;
  const bool keeps_product;
  const bool has_bias;  // that the accumulator adds
  const std::size_t most_taps;
  const FactorRange a, b;
  const double largest;           // magnitude of an exact product
  const int last_bit;             // of all exact products
  const int bits;                 // significant bits of an exact product
  double largest_sum = INFINITY;  // no partial sum of rounded products is larger
};

inline double power(int exponent) { return std::ldexp(1.0, exponent); }

// Whether multiples of 2^last_bit up to this magnitude are exact in so many bits.
inline bool fits(double magnitude, int last_bit, int bits) {
  return magnitude <= power(bits + last_bit);
}

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SUM_BOUNDS_H_
