#ifndef TENSORQUANT_CALIBRATION_COUNTERS_H_
#define TENSORQUANT_CALIBRATION_COUNTERS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/calibration/summary.h"

namespace tensorquant {

// The finite numbers whose float32 pattern has these upper 16 bits: the sign, the exponent and 7
// bits of the significand.
struct Counter {
  std::uint16_t upper;
  std::uint64_t count;

  bool is_negative() const { return upper >= 0x8000; }
  // The ends and the middle of what it counts, by magnitude.
  float smallest() const;
  float middle() const;
  float largest() const;
};

// A histogram of all float32 numbers, in 512 KB: it needs no range to know beforehand, and is a sum
// as a Summary is, so that what is read from it depends on the numbers alone.
class Counters {
 public:
  Counters();

  void add(std::span<const float> values);
  // As float32, see float32_parts.h.
  void add(std::span<const double> values);
  void merge(const Counters& other);

  const Summary& summary() const { return summary_; }
  // How many finite numbers have these upper bits.
  std::uint64_t operator[](std::uint16_t upper) const { return counts_[upper]; }
  // Those that have counted something, in the order of their numbers.
  std::vector<Counter> ascending() const;

  bool operator==(const Counters&) const = default;

 private:
  void count(std::span<const float> chunk);
  template <class T>
  void add_all(std::span<const T> values);

  Summary summary_;
  std::vector<std::uint64_t> counts_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_COUNTERS_H_
