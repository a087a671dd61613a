// Sums of float64 tensors whose numbers are those of float32, as quantized ones mostly are: by the
// kernels for float32.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

// Nothing where a number is none of float32.
std::optional<std::vector<float>> as_floats(std::span<const double> numbers) {
  std::vector<float> floats(numbers.size());
  bool are_equal = true;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    floats[i] = static_cast<float>(numbers[i]);
    are_equal &= static_cast<double>(floats[i]) == numbers[i] || numbers[i] != numbers[i];
  }
  return are_equal ? std::optional(std::move(floats)) : std::nullopt;
}

// A copy in float32.
struct FloatSums {
  std::vector<float> a, b, bias;
  SumsOfProducts<float> sums;
};

bool copy_factor(const Factor<double>& from, std::vector<float>& numbers, Factor<float>& to) {
  std::optional<std::vector<float>> copied = as_floats(from.data);
  if (!copied) return false;
  numbers = std::move(*copied);
  to.data = numbers;
  to.lines = from.lines;
  to.taps = from.taps;
  to.min_exponent = from.min_exponent;
  return true;
}

bool copy_bias(const SumsOfProducts<double>& from, FloatSums& to) {
  if (!from.has_bias()) return true;
  const bool is_of_rows = from.row_bias != nullptr;
  std::optional<std::vector<float>> copied =
      as_floats(is_of_rows ? std::span(from.row_bias, from.rows.size())
                           : std::span(from.column_bias, from.columns.size()));
  if (!copied) return false;
  to.bias = std::move(*copied);
  (is_of_rows ? to.sums.row_bias : to.sums.column_bias) = to.bias.data();
  return true;
}

bool is_of_any_tensor(const Arithmetic& arithmetic) {
  return (is_none(arithmetic.product) || is_of_any_tensor(arithmetic.product)) &&
         is_of_any_tensor(arithmetic.accumulator);
}

// Nothing where the sums are none of float32 numbers.
std::optional<SumPlan> sums_in_float32(const Arithmetic& arithmetic,
                                       const ArithmeticContext& context,
                                       const SumsOfProducts<double>& sums) {
  const bool has_two_levels = arithmetic.outer || sums.has_scales();
  if (has_two_levels || !is_of_any_tensor(arithmetic)) return {};
  FloatSums floats;
  if (!copy_factor(sums.a, floats.a, floats.sums.a) ||
      !copy_factor(sums.b, floats.b, floats.sums.b) || !copy_bias(sums, floats)) {
    return {};
  }
  floats.sums.rows = sums.rows;
  floats.sums.columns = sums.columns;
  floats.sums.unconverted = sums.y;
  floats.sums.outside = sums.outside;
  const SumPlan plan = sums_of_products(arithmetic, context, floats.sums);
  for (const std::int64_t row : sums.rows) {
    for (const std::int64_t column : sums.columns) {
      double& y = sums.y[row + column];
      y = to_type<double>(arithmetic.accumulator, y);
    }
  }
  return plan;
}

}  // namespace

SumPlan sums_of_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const SumsOfProducts<double>& sums, RangeReport* report) {
  if (report != nullptr) throw Error("ranges are reported for float32 alone");
  const DefaultFloatEnvironment environment;  // comparing numbers must not flush them
  if (const std::optional<SumPlan> plan = sums_in_float32(arithmetic, context, sums)) return *plan;
  sums_of_products_reference(arithmetic, context, sums);
  return {SumKernel::reference, true, true, true, "float64 tensors"};
}

}  // namespace tensorquant
