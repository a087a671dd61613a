#ifndef TENSORQUANT_ARITHMETIC_SUMS_SEGMENTS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SEGMENTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// Sums with scales have two levels: where no outer accumulator is given, the tensor's type is it.
Arithmetic with_outer(Arithmetic arithmetic, bool has_scales);

// Where the segments end: the number of the tap behind each one's last; none without taps. Without
// an outer accumulator all taps are one segment.
template <class T>
std::vector<std::size_t> segment_ends(const Arithmetic& arithmetic, const SumsOfProducts<T>& sums);
// The same of one factor, whose taps have their scales at these places; -1: at the one before it.
std::vector<std::size_t> segment_ends(const Arithmetic& arithmetic,
                                      const std::vector<std::int64_t>& places);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SEGMENTS_H_
