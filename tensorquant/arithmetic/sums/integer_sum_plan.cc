// Why the kernels of integer_sum-inl.h and byte_sums-inl.h are equal to the reference.
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// A factor as integers times 2^last_bit.
struct Integers {
  explicit Integers(const FactorRange& range)
      : last_bit(range.largest == 0 ? 0 : range.last_bit),
        lowest(range.lowest * power(-last_bit)),
        highest(range.highest * power(-last_bit)) {}

  // Of 16 bits, and float32 can divide by 2^last_bit.
  bool are_int16() const {
    return lowest > -0x1p15 && highest < 0x1p15 && std::abs(last_bit) <= 100;
  }
  bool are_int8() const { return lowest >= -128 && highest <= 127; }
  bool span_a_byte() const { return highest - lowest <= 255; }

  int last_bit;
  double lowest, highest;
};

}  // namespace

// Where no product and no sum can round or saturate, the result is the exact sum, and the order of
// additions does not matter. The kernels have it: factors are integers i * 2^a and j * 2^b with |i|
// and |j| below 2^15, so that two products do not exceed 2^31 - 2^17, and no sum of some products
// of a line leaves int32, as the sum of all magnitudes does not. That of bytes is right modulo 2^32
// at the end. An int32 is exact in float64, and so is its product with a power of two. A sum that
// is zero is +0, as that of +0 and zeros is.
std::optional<SumPlan> plan_integer(const SumBounds& bounds, SumConstants& c) {
  const Integers a(bounds.a), b(bounds.b);
  if (!a.are_int16() || !b.are_int16() || !bounds.sums_are_exact()) return {};
  if (!(bounds.largest_sum <
        std::ldexp(std::numeric_limits<std::int32_t>::max(), a.last_bit + b.last_bit))) {
    return {};
  }
  c.unit = power(a.last_bit + b.last_bit);
  c.a_scale = power(-a.last_bit);
  c.b_scale = power(-b.last_bit);
  if (a.are_int8() && b.span_a_byte()) {
    c.without_sign = FactorOfBytes::b;
    c.lowest = static_cast<int>(b.lowest);
  } else if (b.are_int8() && a.span_a_byte()) {
    c.without_sign = FactorOfBytes::a;
    c.lowest = static_cast<int>(a.lowest);
  }
  return SumPlan{SumKernel::integer, false, false, false,
                 std::string("no product and no sum can round or saturate; integers of ") +
                     (c.without_sign ? "8 bits" : "16 bits")};
}

}  // namespace tensorquant
