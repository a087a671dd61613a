#include "tensorquant/arithmetic/arithmetic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/grid_fault.h"

namespace tensorquant {
namespace {

GridFormat format_of(const Quantizer& quantizer, const char* place) {
  const std::string fault = grid_fault(quantizer, place);
  if (!fault.empty()) throw Error(fault);
  return *grid_format(*quantizer.format());
}

// Floats alone have subnormal numbers.
template <class F>
std::optional<int> min_exponent_of(const F& format) {
  if constexpr (requires { format.min_exponent(); }) {
    return format.min_exponent();
  } else {
    return std::nullopt;
  }
}

}  // namespace

Arithmetic make_arithmetic(const Quantizer& product, const Quantizer& accumulator,
                           const Accumulate& accumulate, const std::optional<OuterSum>& outer,
                           TapOrder order) {
  Arithmetic arithmetic{format_of(product, "product"), format_of(accumulator, "accumulator"),
                        accumulate};
  arithmetic.order = order;
  if (outer) {
    arithmetic.outer = OuterAccumulator{Identity{}, outer->every};
    if (outer->accumulator != nullptr) {
      arithmetic.outer->accumulator = format_of(*outer->accumulator, "outer accumulator");
    }
  }
  return arithmetic;
}

std::optional<int> smallest_normal_exponent(const ElementFormat& element) {
  return std::visit([](const auto& f) { return min_exponent_of(f); }, element);
}

std::optional<int> smallest_normal_exponent(const Quantizer& quantizer) {
  if (quantizer.format() == nullptr) return std::nullopt;
  return std::visit([](const auto& f) { return min_exponent_of(f); }, *quantizer.format());
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
