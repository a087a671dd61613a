#ifndef TENSORQUANT_ARITHMETIC_SUMS_SUMS_OF_PRODUCTS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SUMS_OF_PRODUCTS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/sums/factor_range.h"

namespace tensorquant {

// The scale of element k of line i is data[lines[i] + taps[k]]; neighbours with the same place
// share it.
template <class T>
struct Scales {
  std::span<const T> data;
  std::vector<std::int64_t> lines;
  std::vector<std::int64_t> taps;
};

// One factor of every product: element k of line i is data[lines[i] + taps[k]].
template <class T>
struct Factor {
  std::span<const T> data;
  std::vector<std::int64_t> lines;
  std::vector<std::int64_t> taps;
  std::optional<FactorRange> range = {};  // of all of data; found anew where they are not given
  std::optional<Scales<T>> scales = {};   // 1 where they are not given
  // For Accumulate::align: the smallest normal exponent of the data's format.
  int min_exponent = std::numeric_limits<T>::min_exponent - 1;
};

// What arithmetic knows of their formats.
template <class T>
void set_min_exponents(const Arithmetic& arithmetic, Factor<T>& data, Factor<T>& weights) {
  data.min_exponent = arithmetic.data_min_exponent.value_or(data.min_exponent);
  weights.min_exponent = arithmetic.weight_min_exponent.value_or(weights.min_exponent);
}

// What matrix products, convolutions and their kin have in common:
//
//   y[rows[i] + columns[j]] = sum over k of a(i, k) * b(j, k), + bias
//
// and the index of y is that of the output element in random rounding. Where the arithmetic has an
// outer accumulator, or a factor has scales, sums have two levels: see OuterSum.
template <class T>
struct SumsOfProducts {
  Factor<T> a;  // a line for each row
  Factor<T> b;  // a line for each column
  const T* row_bias = nullptr;
  const T* column_bias = nullptr;  // not both
  T* y = nullptr;
  // In place of y: the sums as values of the accumulator's format.
  double* unconverted = nullptr;
  // If given, has y's indices: set where the sum before the accumulator's last rounding lies
  // outside the accumulator's range.
  bool* outside = nullptr;
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> columns;

  std::size_t taps() const { return a.taps.size(); }
  bool has_scales() const { return a.scales || b.scales; }
  bool has_bias() const { return row_bias != nullptr || column_bias != nullptr; }
  // Of the output of a row and a column; null where there is none.
  const T* bias(std::size_t row, std::size_t column) const {
    if (row_bias != nullptr) return row_bias + row;
    return column_bias != nullptr ? column_bias + column : nullptr;
  }
};

// The loops that compute sums of products; each gives the reference's bits wherever it is chosen.
enum class SumKernel {
  reference,     // one output after the other in exact arithmetic
  tiles,         // some hundred outputs at a time, in float64
  integer,       // nothing can round or saturate: products of int16 or bytes, int32 sums
  exact,         // nothing can round or saturate: a float32 product
  fixed_int,     // fixed-point products rounded by one fused multiply-add, int32 sums
  fixed_float,   // fixed-point products and sums as integers in float32
  fixed_double,  // the same in float64
  minifloat,     // floats in float32 or float64
  align,         // aligned products in float64
  stochastic,    // fixed-point products rounded at random, int32 sums
};
std::string to_string(SumKernel kernel);

// Which loop was chosen and why, for people to read.
struct SumPlan {
  SumKernel kernel = SumKernel::reference;
  bool clamps_products = true;  // false: the factors' ranges prove that no product saturates
  bool clamps_sums = true;      // likewise for the sums
  bool rounds_sums = true;      // false: every sum is a value of the accumulator's format
  std::string reason;
};

// The definition. Slow; all formats and modes, both types.
template <class T>
void sums_of_products_reference(const Arithmetic& arithmetic, const ArithmeticContext& context,
                                const SumsOfProducts<T>& sums, RangeReport* report = nullptr);

// The same bits from the fastest kernel that is provably equal, on several threads. A report, which
// is added to, and marks take one that looks at its sums on the way: see looking.h.
SumPlan sums_of_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const SumsOfProducts<float>& sums, RangeReport* report = nullptr);
SumPlan sums_of_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const SumsOfProducts<double>& sums, RangeReport* report = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SUMS_OF_PRODUCTS_H_
