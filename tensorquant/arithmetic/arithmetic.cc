#include "tensorquant/arithmetic/arithmetic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

GridFormat format_of(const Quantizer& quantizer, const char* place) {
  const Format* format = quantizer.format();
  const auto grid = format != nullptr ? grid_format(*format) : std::nullopt;
  if (!grid) {
    throw Error(
        "'" + quantizer.spec() + "' cannot be " + place +
        ": expected fixed point of at most 53 bits (52 unsigned), a float, logarithmic or none");
  }
  return *grid;
}

}  // namespace

Arithmetic make_arithmetic(const Quantizer& product, const Quantizer& accumulator,
                           const Accumulate& accumulate) {
  return {format_of(product, "the format of a product"),
          format_of(accumulator, "the format of an accumulator"), accumulate};
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

}  // namespace tensorquant
