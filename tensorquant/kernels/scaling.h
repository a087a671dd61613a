#ifndef TENSORQUANT_KERNELS_SCALING_H_
#define TENSORQUANT_KERNELS_SCALING_H_

#include <cstddef>
#include <cstdint>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/scaled.h"
#include "tensorquant/kernels/part.h"

namespace tensorquant {

// The loops around an element format's kernel that make a Scaled of it, on the calling thread.

// The extreme numbers of groups, an element of each array a group. Those that an array has already
// count too; zero is always between lowest and highest.
template <class T>
struct Extremes {
  BitsOf<T>* magnitudes;  // the bits of the largest magnitude: from infinity's on one is not finite
  T* lowest = nullptr;    // both or neither
  T* highest = nullptr;
  Extremes behind(std::size_t groups) const {
    return {magnitudes + groups, lowest == nullptr ? nullptr : lowest + groups,
            highest == nullptr ? nullptr : highest + groups};
  }
};

// `groups` groups of `length` elements each, one behind the other.
void find_extremes_of_runs(const float* x, std::size_t groups, std::size_t length,
                           Extremes<float> extremes);
void find_extremes_of_runs(const double* x, std::size_t groups, std::size_t length,
                           Extremes<double> extremes);
// `groups` groups side by side, of which each row of `stride` elements has one each.
void find_extremes_of_columns(const float* x, std::size_t groups, std::size_t rows,
                              std::size_t stride, Extremes<float> extremes);
void find_extremes_of_columns(const double* x, std::size_t groups, std::size_t rows,
                              std::size_t stride, Extremes<double> extremes);

// The scales of groups with these largest magnitudes: 2^-e and 2^e; 0 in place of 2^e where all are
// zeros, and NaN where one is not finite.
void power_of_two_scales(const std::uint32_t* magnitudes, std::size_t groups,
                         const PowerOfTwoRule& rule, float* before, float* behind);
void power_of_two_scales(const std::uint64_t* magnitudes, std::size_t groups,
                         const PowerOfTwoRule& rule, double* before, double* behind);

// What comes before an element format and behind it, for those that round at random: t of
// PartScales, and q as its result. `x` are the numbers before all. The scales have a number for
// each element; their arrays, t and q have room for a whole vector behind the last.
void scale_down(const float* x, std::size_t count, const PartScales<float>& scales, float* t);
void scale_down(const double* x, std::size_t count, const PartScales<double>& scales, double* t);
void scale_up(const float* x, std::size_t count, const PartScales<float>& scales, float* q);
void scale_up(const double* x, std::size_t count, const PartScales<double>& scales, double* q);

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_SCALING_H_
