#ifndef TENSORQUANT_CALIBRATION_ENTROPY_H_
#define TENSORQUANT_CALIBRATION_ENTROPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// A histogram of the magnitudes of finite numbers in equal bins of [0, amax]; what is larger counts
// in the last bin. It wants to know amax first, hence a second pass over the numbers. A sum as a
// Summary is.
class EqualBins {
 public:
  static constexpr std::size_t kBins = 2048;

  explicit EqualBins(float amax);

  void add(std::span<const float> values);
  // As float32, see float32_parts.h.
  void add(std::span<const double> values);
  // Throws an Error where the other's amax is a different one.
  void merge(const EqualBins& other);

  float amax() const { return amax_; }
  std::span<const std::uint64_t, kBins> counts() const;
  std::uint64_t total() const;

  bool operator==(const EqualBins&) const = default;

 private:
  void count(std::span<const float> chunk);
  template <class T>
  void add_all(std::span<const T> values);

  float amax_;
  std::vector<std::uint64_t> counts_;  // and one for what is not finite
};

// How many values >= 0 the format has. Throws an Error where they are too many for the bins.
std::size_t entropy_levels(const Quantizer& element);

// The amax that keeps most information: among amax0 * i / 2048 for max(levels, 128) <= i <= 2048
// the one with the smallest Kullback-Leibler divergence of Q from P. The first bin counts as many
// as the second: every range keeps the zeros of a ReLU, which are more than all else, and the
// narrowest would be best for them. P is the bins below i, with the rest in the last of them; Q is
// the bins below i merged to `levels` levels, bin b to floor(b * levels / i), each level then
// spread evenly over those of its bins that P fills; both are divided by their sums. Ties go to the
// larger amax. 1 <= levels <= 2048.
float entropy_amax(const EqualBins& bins, std::size_t levels);

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_ENTROPY_H_
