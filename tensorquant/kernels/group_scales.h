#ifndef TENSORQUANT_KERNELS_GROUP_SCALES_H_
#define TENSORQUANT_KERNELS_GROUP_SCALES_H_

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/random.h"
#include "tensorquant/formats/scaled.h"
#include "tensorquant/kernels/scaling.h"

namespace tensorquant {

template <class T>
class GroupExtremes {
 public:
  GroupExtremes(std::size_t groups, bool has_range) { reset(groups, has_range); }
  void reset(std::size_t groups, bool has_range) {
    magnitudes_.assign(groups, 0);
    lowest_.assign(has_range ? groups : 0, 0);
    highest_.assign(has_range ? groups : 0, 0);
  }
  Extremes<T> view() {
    return {magnitudes_.data(), lowest_.empty() ? nullptr : lowest_.data(),
            highest_.empty() ? nullptr : highest_.data()};
  }
  void add_to(Extremes<T> all) const {
    for (std::size_t g = 0; g < magnitudes_.size(); ++g) {
      all.magnitudes[g] = std::max(all.magnitudes[g], magnitudes_[g]);
      if (lowest_.empty()) continue;
      all.lowest[g] = std::min(all.lowest[g], lowest_[g]);
      all.highest[g] = std::max(all.highest[g], highest_[g]);
    }
  }
  std::span<const BitsOf<T>> magnitudes() const { return magnitudes_; }
  std::span<const T> lowest() const { return lowest_; }
  std::span<const T> highest() const { return highest_; }

 private:
  std::vector<BitsOf<T>> magnitudes_;
  std::vector<T> lowest_, highest_;
};

// An element of each array a group: see PartScales.
template <class T>
struct GroupScales {
  GroupScales(std::size_t groups, bool has_zero_point) { reset(groups, has_zero_point); }
  void reset(std::size_t groups, bool has_zero_point) {
    before.resize(groups);
    behind.resize(groups);
    lowest.resize(has_zero_point ? groups : 0);
    highest.resize(has_zero_point ? groups : 0);
    may_overflow = false;
  }
  bool is_one() const { return before.size() == 1; }
  bool has_limits() const { return !lowest.empty(); }

  std::vector<T> before, behind, lowest, highest;
  bool may_overflow = false;
};

// From what groups hold to what their elements are multiplied by.
template <class T>
class ScaleRule {
 public:
  // The bits of the tensor's largest magnitude are for Rule::e4m3.
  ScaleRule(const Scaled& format, BitsOf<T> tensor_magnitude);

  bool looks_at_extremes() const {
    return scale_.rule != Scale::Rule::number && scale_.rule != Scale::Rule::mean;
  }
  bool has_zero_point() const { return scale_.has_zero_point(); }
  // Null where scales are no powers of two.
  const PowerOfTwoRule* power_of_two() const {
    return scale_.is_power_of_two() ? &power_of_two_ : nullptr;
  }
  bool is_random() const { return is_random_; }
  // Whether elements are multiplied by what comes before them.
  bool multiplies() const { return multiplies_; }
  bool keeps_nan() const { return keeps_nan_; }
  // The element format, but for a zero point, whose limits come before it.
  const ElementFormat& element() const { return element_; }

  GroupScales<T> of_number() const;
  void set(const GroupExtremes<T>& extremes, GroupScales<T>& scales) const;
  void set_mean(GroupScales<T>& scales, std::size_t group, std::span<const T> members) const;

  // The extreme values of a group, as those of the reference; NaN both where the group is.
  Bounds<T> limits(const GroupScales<T>& scales, std::size_t group) const;

  // Whether x, element `index` of the tensor, is among those of overflows_reference().
  bool overflows(const GroupScales<T>& scales, std::size_t group, T x, const RandomStream& random,
                 std::size_t index) const;

 private:
  void set_ranges(const GroupExtremes<T>& extremes, GroupScales<T>& scales) const;
  void set_quotients(std::span<const BitsOf<T>> magnitudes, GroupScales<T>& scales) const;
  void note_overflow(GroupScales<T>& scales) const;

  ElementFormat element_;
  Scale scale_;
  T largest_;
  Bounds<T> ends_;     // of the element format
  T overflow_begins_;  // the largest scale with which none of its values can overflow
  T of_tensor_ = 1;    // Rule::e4m3
  PowerOfTwoRule power_of_two_ = {0, 2};
  double lowest_integer_ = 0, highest_integer_ = 0;  // with a zero point
  bool multiplies_ = false;
  bool keeps_nan_ = true;
  bool is_random_ = false;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_GROUP_SCALES_H_
