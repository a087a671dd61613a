#ifndef TENSORQUANT_ARITHMETIC_LAYERS_ELEMENTS_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_ELEMENTS_H_

#include <span>
#include <string>
#include <vector>

#include "tensorquant/formats/scale.h"
#include "tensorquant/formats/scaled.h"

namespace tensorquant {

// The elements q of values that a format with scales made, from these and the scale of each group:
// the elements of the format whose products with the scales are the values, see stands_for(). An
// element whose product is 0 is 0. Throws an Error that begins with `what` where the values are
// none of the format with these scales, or do not tell their elements: a product that was too large
// for T, or below its normal numbers and that of a neighbour, too, and formats that are as fine as
// T.
template <class T>
std::vector<T> elements_of(const std::string& what, const Scaled& format, std::span<const T> values,
                           std::span<const T> scales, const Grouping& grouping);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_ELEMENTS_H_
