#include "tensorquant/arithmetic/layers/scaled_operand.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(what + " do not run along the sums; quantize the tensor that the layer reads");
}

template <class T>
bool is_product(T scale, T q, T value) {
  if (std::isnan(q) || std::isnan(scale)) return std::isnan(value);
  const T product = scale * q;
  return to_bits(std::isfinite(q) ? finite(product) : product) == to_bits(value);
}

// Of numbers with one scale, or each with its own. Most runs have neither NaN nor infinities: a
// first loop, without branches, compares all products as they are.
template <class T, std::size_t step>
bool are_products(const T* scales, std::span<const T> q, std::span<const T> values) {
  decltype(to_bits(T{})) different = 0;
  for (std::size_t i = 0; i < q.size(); ++i) {
    different |= to_bits(static_cast<T>(scales[i * step] * q[i])) ^ to_bits(values[i]);
  }
  if (different == 0) return true;
  for (std::size_t i = 0; i < q.size(); ++i) {
    if (!is_product(scales[i * step], q[i], values[i])) return false;
  }
  return true;
}

}  // namespace

template <class T>
bool stands_for(const ScaledOperand<T>& operand, std::span<const T> values) {
  if (operand.q.size() != values.size()) return false;
  const Grouping& grouping = operand.grouping;
  const std::size_t inner = operand.has_one_scale() ? values.size() : grouping.axis.inner;
  std::atomic<bool> is_equal = true;
  parallel_for(values.size(), 1024, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin; i < end && is_equal;) {
      // Neighbours along `inner` have one scale, or scales that are neighbours.
      const std::size_t run = std::min(end - i, inner - i % inner);
      const std::size_t group = operand.has_one_scale() ? 0 : grouping.group_of(i);
      const T* const scales = operand.scales.data() + group;
      const auto q = operand.q.subspan(i, run), x = values.subspan(i, run);
      const bool is_run_equal = operand.has_blocks() ? are_products<T, 1>(scales, q, x)
                                                     : are_products<T, 0>(scales, q, x);
      if (!is_run_equal) is_equal = false;
      i += run;
    }
  });
  return is_equal;
}

template <class T>
Arithmetic of_elements(Arithmetic arithmetic, const ScaledOperands<T>& operands) {
  if (operands.data != nullptr) arithmetic.data_min_exponent = operands.data->min_exponent;
  if (operands.weights != nullptr) arithmetic.weight_min_exponent = operands.weights->min_exponent;
  return arithmetic;
}

template <class T>
ScalesAlongK<T> scales_along_k(const std::string& what, const ScaledOperand<T>& operand,
                               std::int64_t lines, std::int64_t taps) {
  const std::int64_t whole = std::max<std::int64_t>(taps, 1);
  if (operand.has_one_scale()) return {operand.scales, whole, 0, 1};
  const auto& [axis, block, by_index] = operand.grouping;
  const auto length = static_cast<std::int64_t>(axis.length);
  const auto inner = static_cast<std::int64_t>(axis.inner);
  if (by_index && length * inner == taps) return {operand.scales, inner, 0, 1};
  if (by_index && length == lines && inner == taps) return {operand.scales, whole, 1, 1};
  if (!by_index && length == taps && inner == 1) {
    return {operand.scales, static_cast<std::int64_t>(block),
            static_cast<std::int64_t>(operand.grouping.blocks()), 1};
  }
  refuse(what);
}

template <class T>
Scales<T> scales_of_factor(const std::string& what, const ScaledOperand<T>& operand,
                           std::int64_t first, const std::vector<std::int64_t>& lines,
                           const std::vector<std::int64_t>& taps) {
  Scales<T> scales{operand.scales, std::vector<std::int64_t>(lines.size()),
                   std::vector<std::int64_t>(taps.size())};
  if (operand.has_one_scale() || lines.empty() || taps.empty()) return scales;
  const auto group = [&](std::size_t i, std::size_t k) {
    const std::int64_t element = first + lines[i] + taps[k];
    return static_cast<std::int64_t>(operand.grouping.group_of(static_cast<std::size_t>(element)));
  };
  for (std::size_t i = 0; i < lines.size(); ++i) scales.lines[i] = group(i, 0);
  for (std::size_t k = 0; k < taps.size(); ++k) scales.taps[k] = group(0, k) - group(0, 0);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t k = 0; k < taps.size(); ++k) {
      if (group(i, k) != scales.lines[i] + scales.taps[k]) refuse(what);
    }
  }
  return scales;
}

#define TENSORQUANT_INSTANTIATE(T)                                                               \
  template bool stands_for(const ScaledOperand<T>&, std::span<const T>);                         \
  template Arithmetic of_elements(Arithmetic, const ScaledOperands<T>&);                         \
  template ScalesAlongK<T> scales_along_k(const std::string&, const ScaledOperand<T>&,           \
                                          std::int64_t, std::int64_t);                           \
  template Scales<T> scales_of_factor(const std::string&, const ScaledOperand<T>&, std::int64_t, \
                                      const std::vector<std::int64_t>&,                          \
                                      const std::vector<std::int64_t>&)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant
