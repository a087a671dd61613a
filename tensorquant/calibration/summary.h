#ifndef TENSORQUANT_CALIBRATION_SUMMARY_H_
#define TENSORQUANT_CALIBRATION_SUMMARY_H_

#include <cstdint>
#include <limits>
#include <span>
#include <string>

namespace tensorquant {

// How many numbers were seen, and the ends of the finite ones. A sum: of parts that are added or
// merged in any order on any threads it is the same.
struct Summary {
  std::uint64_t finite = 0, nan = 0, infinite = 0;
  // Of the finite numbers, exactly; lowest > highest: there were none. No -0.
  float lowest = std::numeric_limits<float>::infinity();
  float highest = -std::numeric_limits<float>::infinity();

  void add(std::span<const float> values);
  // As float32, see float32_parts.h.
  void add(std::span<const double> values);
  void merge(const Summary& other);

  // The largest finite magnitude; 0 where there is none.
  float amax() const;
  // Throws an Error that names `what` where no number was finite.
  void require_finite(const std::string& what) const;

  bool operator==(const Summary&) const = default;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_SUMMARY_H_
