#include "tensorquant/calibration/counters.h"

#include <algorithm>
#include <functional>

#include "tensorquant/base/bits.h"
#include "tensorquant/calibration/float32_parts.h"

namespace tensorquant {
namespace {

constexpr std::size_t kCounters = 1 << 16;
constexpr std::uint16_t kNegative = 0x8000;
constexpr std::uint16_t kFirstNotFinite = kInfinity >> 16;

// A thread's own counters take as long to clear and merge as some ten thousand elements to count.
constexpr std::size_t kBlock = 1 << 18;

float with_lower_bits(std::uint16_t upper, std::uint32_t lower) {
  return from_bits<float>(std::uint32_t{upper} << 16 | lower);
}

}  // namespace

float Counter::smallest() const { return with_lower_bits(upper, 0); }
float Counter::middle() const { return with_lower_bits(upper, 0x8000); }
float Counter::largest() const { return with_lower_bits(upper, 0xFFFF); }

Counters::Counters() : counts_(kCounters) {}

void Counters::count(std::span<const float> chunk) {
  for (const float x : chunk) ++counts_[to_bits(x) >> 16];
}

template <class T>
void Counters::add_all(std::span<const T> values) {
  summary_.add(values);
  add_in_parts(
      values, kBlock, *this, [] { return Counters(); },
      [](Counters& part, std::span<const float> chunk) { part.count(chunk); });
  // To look at every number whether it is finite would take longer.
  for (const std::uint16_t sign : {std::uint16_t{0}, kNegative}) {
    const auto first = counts_.begin() + (sign | kFirstNotFinite);
    std::fill(first, counts_.begin() + sign + kNegative, 0);
  }
}

void Counters::add(std::span<const float> values) { add_all(values); }
void Counters::add(std::span<const double> values) { add_all(values); }

void Counters::merge(const Counters& other) {
  summary_.merge(other.summary_);
  std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(),
                 std::plus<>());
}

std::vector<Counter> Counters::ascending() const {
  std::vector<Counter> counters;
  const auto append = [&](std::uint32_t upper) {
    if (counts_[upper] > 0) counters.push_back({static_cast<std::uint16_t>(upper), counts_[upper]});
  };
  for (std::uint32_t magnitude = kFirstNotFinite; magnitude-- > 0;) append(kNegative | magnitude);
  for (std::uint32_t magnitude = 0; magnitude < kFirstNotFinite; ++magnitude) append(magnitude);
  return counters;
}

}  // namespace tensorquant
