#ifndef TENSORQUANT_ARITHMETIC_SUMS_FLOAT_STORE_H_
#define TENSORQUANT_ARITHMETIC_SUMS_FLOAT_STORE_H_

#include <cstdint>
#include <span>

#include "tensorquant/arithmetic/grid_format.h"

namespace tensorquant {

// to_type<float>() of many.
void store_as_float(const GridFormat& format, std::span<const double> values, float* out);

// The same of outputs whose places are to[places[j]], for one row after the other.
class FloatStore {
 public:
  FloatStore(const GridFormat& format, std::span<const std::int64_t> places);

  void row(std::span<const double> values, float* to) const;
  // Of float32 numbers, of which NaN alone may change.
  void row(std::span<const float> values, float* to) const;

 private:
  const Bounds<float> limits_;
  const std::span<const std::int64_t> places_;
  const bool are_neighbours_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_FLOAT_STORE_H_
