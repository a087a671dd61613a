#include "tensorquant/calibration/summary.h"

#include <algorithm>
#include <cmath>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/calibration/float32_parts.h"

namespace tensorquant {
namespace {

constexpr std::size_t kBlock = 1 << 16;

// Integers in the order of the numbers that have these bits; the same function leads back.
std::int32_t ordered(std::int32_t bits) { return bits ^ ((bits >> 31) & 0x7FFFFFFF); }

float number(std::int32_t order) {
  return from_bits<float>(static_cast<std::uint32_t>(ordered(order))) + 0.0f;  // no -0
}

// Integers alone, so that the compiler makes it SIMD.
void count(Summary& summary, std::span<const float> chunk) {
  constexpr std::int32_t kNone = std::numeric_limits<std::int32_t>::min();
  std::int32_t lowest = ~kNone, highest = kNone;
  std::uint32_t nan = 0, infinite = 0;
  for (const float x : chunk) {
    const std::uint32_t bits = to_bits(x);
    const std::uint32_t magnitude = bits & kMagnitude;
    const std::int32_t order = ordered(static_cast<std::int32_t>(bits));
    nan += magnitude > kInfinity ? 1 : 0;
    infinite += magnitude == kInfinity ? 1 : 0;
    lowest = std::min(lowest, magnitude < kInfinity ? order : ~kNone);
    highest = std::max(highest, magnitude < kInfinity ? order : kNone);
  }
  summary.nan += nan;
  summary.infinite += infinite;
  const std::size_t finite = chunk.size() - nan - infinite;
  if (finite == 0) return;
  summary.finite += finite;
  summary.lowest = std::min(summary.lowest, number(lowest));
  summary.highest = std::max(summary.highest, number(highest));
}

}  // namespace

void Summary::add(std::span<const float> values) {
  add_in_parts(
      values, kBlock, *this, [] { return Summary(); }, count);
}

void Summary::add(std::span<const double> values) {
  add_in_parts(
      values, kBlock, *this, [] { return Summary(); }, count);
}

void Summary::merge(const Summary& other) {
  const DefaultFloatEnvironment environment;
  finite += other.finite;
  nan += other.nan;
  infinite += other.infinite;
  lowest = std::min(lowest, other.lowest);
  highest = std::max(highest, other.highest);
}

float Summary::amax() const {
  if (finite == 0) return 0;
  const DefaultFloatEnvironment environment;
  return std::max(std::abs(lowest), std::abs(highest));
}

void Summary::require_finite(const std::string& what) const {
  if (finite > 0) return;
  if (nan + infinite == 0) throw Error(what + " has no numbers: nothing to calibrate with");
  throw Error(what + " has no finite number, " + std::to_string(nan) + " NaN and " +
              std::to_string(infinite) + " infinite ones: nothing to calibrate with");
}

}  // namespace tensorquant
