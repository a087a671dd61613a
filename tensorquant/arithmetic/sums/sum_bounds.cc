#include "tensorquant/arithmetic/sums/sum_bounds.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <numeric>

namespace tensorquant {
namespace {

FactorRange known_range(const Factor<float>& factor) {
  return factor.range ? *factor.range : range_of(factor.data);
}

// The fewest bits in which multiples of 2^last_bit up to this magnitude fit, more than any format
// has where it is infinite.
int bits_up_to(double magnitude, int last_bit) {
  if (magnitude == 0) return 0;
  if (!std::isfinite(magnitude)) return std::numeric_limits<int>::max();
  int exponent = 0;  // the magnitude lies in [2^(exponent - 1), 2^exponent)
  const bool is_power = std::frexp(magnitude, &exponent) == 0.5;
  return exponent - (is_power ? 1 : 0) - last_bit;
}

// The largest sum of finite magnitudes of a line's segment.
double longest_line(const Factor<float>& factor, std::span<const std::size_t> ends) {
  double longest = 0;
  for (const std::int64_t line : factor.lines) {
    const float* data = factor.data.data() + line;
    std::size_t k = 0;
    for (const std::size_t end : ends) {
      const auto magnitude = [&](std::size_t i) {
        const double x = std::abs(static_cast<double>(data[factor.taps[i]]));
        return x <= std::numeric_limits<float>::max() ? x : 0.0;
      };
      std::array<double, 8> sums = {};  // side by side
      for (; k + sums.size() <= end; k += sums.size()) {
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += magnitude(k + i);
      }
      for (; k < end; ++k) sums[0] += magnitude(k);
      longest = std::max(longest, std::accumulate(sums.begin(), sums.end(), 0.0));
    }
  }
  return longest;
}

std::size_t longest_of(std::span<const std::size_t> ends) {
  std::size_t longest = 0, first = 0;
  for (const std::size_t end : ends) {
    longest = std::max(longest, end - first);
    first = end;
  }
  return longest;
}

}  // namespace

SumBounds::SumBounds(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums)
    : SumBounds(arithmetic, sums, std::array{sums.taps()}, sums.has_bias()) {}

SumBounds::SumBounds(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums,
                     std::span<const std::size_t> ends, bool has_bias)
    : arithmetic(arithmetic),
      sums(sums),
      mode(arithmetic.accumulate.mode),
      keeps_product(is_none(arithmetic.product) || mode == Accumulate::Mode::fused),
      has_bias(has_bias),
      most_taps(longest_of(ends)),
      a(known_range(sums.a)),
      b(known_range(sums.b)),
      largest(static_cast<double>(a.largest) * static_cast<double>(b.largest)),
      last_bit(a.last_bit + b.last_bit),
      bits(a.significant_bits + b.significant_bits) {
  constexpr double kSlack = 1 + 1e-6;  // for the roundings of these sums themselves
  largest_sum = longest_line(sums.a, ends) * b.largest * kSlack;
  if (!keeps_product) largest_sum = bound_after_rounding(arithmetic.product, largest_sum, taps());
}

bool SumBounds::product_is_exact() const {
  return keeps_product || keeps(arithmetic.product, {largest, last_bit, bits});
}

double SumBounds::largest_product() const {
  if (keeps_product) return largest;
  const Bounds<double> ends = ends_of<float>(arithmetic.product);
  return std::min(bound_after_rounding(arithmetic.product, largest, 1),
                  std::max(-ends.lowest, ends.highest));
}

int SumBounds::rounded_last_bit() const {
  return keeps_product ? last_bit : tensorquant::last_bit(arithmetic.product);
}

bool SumBounds::sum_is_exact(int last_bit) const {
  return keeps(arithmetic.accumulator, {largest_sum, last_bit, bits_up_to(largest_sum, last_bit)});
}

}  // namespace tensorquant
