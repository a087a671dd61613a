#include "tensorquant/calibration/percentile.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/calibration/float32_parts.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {
namespace {

constexpr std::uint64_t kWhole = 1'000'000'000;  // 100 % with 7 decimals

// The share of all numbers that is left out, in parts of kWhole.
std::uint64_t left_out(double percent) {
  if (!is_percentage(percent)) {
    throw Error("a percentile has to be in (0, 100] with at most 7 decimals, not " +
                shortest_decimal(percent));
  }
  return kWhole - static_cast<std::uint64_t>(std::llround(percent * 1e7));
}

// floor(n * part / whole); part <= whole <= 2e9, so that no product exceeds 64 bits.
std::uint64_t share(std::uint64_t n, std::uint64_t part, std::uint64_t whole) {
  return n / whole * part + n % whole * part / whole;
}

float outer_low(const Counter& counter) {
  return counter.is_negative() ? counter.largest() : counter.smallest();
}

float outer_high(const Counter& counter) {
  return counter.is_negative() ? counter.smallest() : counter.largest();
}

// The counter of the element of this rank, from 1, on the way from one iterator to the other.
template <class Iterator>
const Counter& at_rank(Iterator counter, std::uint64_t rank) {
  while (rank > counter->count) rank -= (counter++)->count;
  return *counter;
}

}  // namespace

bool is_percentage(double percent) {
  const DefaultFloatEnvironment environment;
  // The quotient is the double next to a decimal, as the text was read.
  return percent > 0 && percent <= 100 && std::round(percent * 1e7) / 1e7 == percent;
}

float percentile_amax(const Counters& counters, double percent) {
  const DefaultFloatEnvironment environment;
  const std::uint64_t n = counters.summary().finite;
  const std::uint64_t rank = n - share(n, left_out(percent), kWhole);
  std::uint64_t seen = 0;
  for (std::uint16_t upper = 0; upper < kInfinity >> 16; ++upper) {
    const auto negative = static_cast<std::uint16_t>(upper | 0x8000);
    seen += counters[upper] + counters[negative];
    if (seen >= rank) return std::min(Counter{upper, 0}.largest(), counters.summary().amax());
  }
  return counters.summary().amax();
}

ValueRange percentile_range(const Counters& counters, double percent) {
  const DefaultFloatEnvironment environment;
  const Summary& summary = counters.summary();
  const std::uint64_t cut = share(summary.finite, left_out(percent), 2 * kWhole);
  if (summary.finite == 0) return {};
  const std::vector<Counter> ascending = counters.ascending();
  const float low = outer_low(at_rank(ascending.begin(), cut + 1));
  const float high = outer_high(at_rank(ascending.rbegin(), cut + 1));
  // + 0: no -0
  return {std::max(low, summary.lowest) + 0.0f, std::min(high, summary.highest) + 0.0f};
}

}  // namespace tensorquant
