#ifndef TENSORQUANT_ARITHMETIC_ARITHMETIC_H_
#define TENSORQUANT_ARITHMETIC_ARITHMETIC_H_

#include <cstdint>
#include <optional>
#include <string>

#include "tensorquant/arithmetic/grid_format.h"
#include "tensorquant/base/random.h"
#include "tensorquant/quantizers/accumulate.h"
#include "tensorquant/quantizers/outer_sum.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/tap_order.h"

namespace tensorquant {

// The second of two accumulators: see OuterSum.
struct OuterAccumulator {
  GridFormat accumulator = Identity{};
  std::int64_t every = 0;  // 0: only scales end a segment
  bool operator==(const OuterAccumulator&) const = default;
};

// How y = sum over k of x_k * w_k, + b is computed: each product rounded to one format, the sum to
// another, in the order of k. Both formats act on exact real numbers with their own bounds, and
// round once. y becomes the tensor's type at the very end.
struct Arithmetic {
  GridFormat product = Identity{};      // Identity: the exact product
  GridFormat accumulator = Identity{};  // Identity: the tensor's type, ties to even
  Accumulate accumulate = {};
  // Adds up the sums of segments, and then the bias. Without one there is one segment, or, where
  // factors have scales, the tensor's type adds up.
  std::optional<OuterAccumulator> outer = {};
  TapOrder order = TapOrder::channel;
  // For Accumulate::align: the smallest normal exponents of the data's and the weights' formats.
  // The tensor type's where nothing is known of them.
  std::optional<int> data_min_exponent = {}, weight_min_exponent = {};
  bool operator==(const Arithmetic&) const = default;

  // The format of the last sum, and of the bias's addition.
  const GridFormat& last_accumulator() const { return outer ? outer->accumulator : accumulator; }
};

// The smallest normal exponent of a quantizer's values; nothing where the tensor type's stands for
// it, as for all but floats. Values with scales have none of their own: their elements have, where
// arithmetic sees these and their scales apart.
std::optional<int> smallest_normal_exponent(const Quantizer& quantizer);
std::optional<int> smallest_normal_exponent(const ElementFormat& element);

// The arithmetic of an intrinsic map's value. Throws an Error for quantizers that do not round to a
// grid: sparse, binary, ternary, tables, formats with scales and a user's own.
Arithmetic make_arithmetic(const Quantizer& product, const Quantizer& accumulator,
                           const Accumulate& accumulate, const std::optional<OuterSum>& outer = {},
                           TapOrder order = TapOrder::channel);

// Where random rounding takes its numbers from.
struct ArithmeticContext {
  std::uint64_t seed = 0;
  std::uint32_t product_stream = 0;
  std::uint32_t accumulator_stream = 1;
  std::uint32_t step = 0;
  // Of matrices that are split on the way: see scaled_matrix_product().
  std::uint32_t data_stream = 2;
  std::uint32_t weight_stream = 3;

  RandomStream product() const { return {seed, product_stream, step}; }
  RandomStream accumulator() const { return {seed, accumulator_stream, step}; }
};

// The tap that stands for the addition of the bias in random rounding.
inline constexpr std::uint32_t kBiasTap = 0xFFFFFFFF;
// The tap that stands for the outer accumulator's addition of segment 0; the others follow. Its
// random words are those of the accumulator's stream.
inline constexpr std::uint32_t kFirstOuterTap = 0x80000000;

// What a layer's products and sums would have needed. Numbers that are not finite do not count.
struct RangeReport {
  std::uint64_t products = 0;          // that were rounded
  std::uint64_t clamped_products = 0;  // of which beyond the product format's ends
  std::uint64_t sums = 0;              // roundings of the accumulator
  std::uint64_t clamped_sums = 0;
  double largest_product = 0;  // magnitude, before it was rounded
  // The extreme values of the running sums of the same rounded products, without the accumulator's
  // rounding.
  double lowest_sum = 0;
  double highest_sum = 0;

  void merge(const RangeReport& other);
  // The bits of a fixed-point accumulator with this fraction that none of those sums leaves.
  int sufficient_bits(int fraction) const;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_ARITHMETIC_H_
