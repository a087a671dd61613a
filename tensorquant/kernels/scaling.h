#ifndef TENSORQUANT_KERNELS_SCALING_H_
#define TENSORQUANT_KERNELS_SCALING_H_

#include <cstddef>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/stores.h"

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

// Numbers that belong to elements: one for each, or the first for all.
template <class T>
struct Factors {
  const T* values;
  bool varies;
  Factors behind(std::size_t count) const { return {varies ? values + count : values, varies}; }
};

// What comes before the element format: t = x * factor, or x / factor, clamped where there are
// limits, which are integers.
template <class T>
struct BeforeElement {
  Factors<T> factors;
  bool multiplies;
  const T* lowest = nullptr;  // both or neither; they vary as the factors do
  const T* highest = nullptr;
};
void scale_down(const float* x, std::size_t count, const BeforeElement<float>& before, float* t);
void scale_down(const double* x, std::size_t count, const BeforeElement<double>& before, double* t);

// What comes behind it: out = factor * q. A NaN in x, the numbers before all, stays as it is, or
// becomes the quiet one. With `may_overflow` infinite products of finite numbers become the largest
// number.
template <class T>
struct BehindElement {
  Factors<T> factors;
  bool keeps_nan;
  bool may_overflow;
  Stores stores;
};
void scale_up(const float* q, const float* x, std::size_t count, const BehindElement<float>& behind,
              float* out);
void scale_up(const double* q, const double* x, std::size_t count,
              const BehindElement<double>& behind, double* out);

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_SCALING_H_
