#include "tensorquant/search/accumulator_width.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// The least P with -2^(P-1) <= low and high <= 2^(P-1) - 1.
int bits_of(double low, double high) {
  int bits = 1;
  while (low < -std::ldexp(1.0, bits - 1) || high > std::ldexp(1.0, bits - 1) - 1) ++bits;
  return bits;
}

}  // namespace

int worst_case_bits(std::span<const std::int64_t> weights, std::int64_t terms,
                    std::span<const double> biases, CodeRange inputs) {
  const auto row = static_cast<std::size_t>(terms);
  if (terms <= 0 || weights.size() % row != 0 ||
      (!biases.empty() && biases.size() != weights.size() / row)) {
    throw Error("weights must be rows of " + std::to_string(terms) + ", with a bias a row or none");
  }
  int bits = 1;
  for (std::size_t channel = 0; channel * row < weights.size(); ++channel) {
    double low = 0, high = 0;
    for (const std::int64_t code : weights.subspan(channel * row, row)) {
      const double ends[] = {static_cast<double>(code) * inputs.low,
                             static_cast<double>(code) * inputs.high};
      low += std::min(ends[0], ends[1]);
      high += std::max(ends[0], ends[1]);
    }
    // The bias may come first or last, so it never makes room for the products.
    const double bias = biases.empty() ? 0 : biases[channel];
    low += std::min(0.0, std::floor(bias));
    high += std::max(0.0, std::ceil(bias));
    bits = std::max(bits, bits_of(low, high));
  }
  return bits;
}

// The largest sum is terms 2^m with m the magnitude bits of both: the least P with
// terms 2^m <= 2^(P-1) - 1.
std::optional<int> worst_case_bits(std::int64_t terms, const Operand& weight,
                                   const Operand& input) {
  if (!weight.magnitude_bits || !input.magnitude_bits || input.has_channel_scales) {
    return std::nullopt;
  }
  return std::bit_width(static_cast<std::uint64_t>(terms)) + *weight.magnitude_bits +
         *input.magnitude_bits + 1;
}

}  // namespace tensorquant
