#ifndef TENSORQUANT_ARITHMETIC_LAYERS_SCALED_OPERAND_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_SCALED_OPERAND_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/formats/scale.h"

namespace tensorquant {

// A tensor in C order that a format with scales made, as arithmetic sees it: element i is q[i]
// times the scale of its group.
template <class T>
struct ScaledOperand {
  std::span<const T> q;
  std::span<const T> scales;  // one for each group
  Grouping grouping;
  std::optional<int> min_exponent = {};  // of q: see smallest_normal_exponent()

  bool has_one_scale() const { return scales.size() <= 1; }
  // Whether scales change along the axis that the format was told to be the sum's.
  bool has_blocks() const { return !has_one_scale() && !grouping.by_index; }
};

// Of a layer's data and weights; null for one without scales.
template <class T>
struct ScaledOperands {
  const ScaledOperand<T>* data = nullptr;
  const ScaledOperand<T>* weights = nullptr;
};

// Whether the products of elements and scales, in T, with T's largest value in place of an
// infinity, are these values, bit for bit but for those of NaN.
template <class T>
bool stands_for(const ScaledOperand<T>& operand, std::span<const T> values);

// With the smallest exponents of the operands' elements.
template <class T>
Arithmetic of_elements(Arithmetic arithmetic, const ScaledOperands<T>& operands);

// The scales of a matrix of so many lines, along which products are added up. Both of these throw
// an Error that begins with `what` where scales lie so that a line and a tap do not say which.
template <class T>
ScalesAlongK<T> scales_along_k(const std::string& what, const ScaledOperand<T>& operand,
                               std::int64_t lines, std::int64_t taps);
// Those of a factor whose element k of line i is q[first + lines[i] + taps[k]].
template <class T>
Scales<T> scales_of_factor(const std::string& what, const ScaledOperand<T>& operand,
                           std::int64_t first, const std::vector<std::int64_t>& lines,
                           const std::vector<std::int64_t>& taps);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_SCALED_OPERAND_H_
