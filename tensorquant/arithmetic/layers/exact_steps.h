#ifndef TENSORQUANT_ARITHMETIC_LAYERS_EXACT_STEPS_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_EXACT_STEPS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/exact/function.h"
#include "tensorquant/arithmetic/sums/output_sum.h"

namespace tensorquant {

// In random rounding a row's own numbers have its index and taps from here on, so that they do not
// meet those of elements; a second sum of a row has its taps from further on.
inline constexpr std::uint32_t kFirstRowTap = 0x80000000;
inline constexpr std::uint32_t kSecondSumTap = 0xC0000000;

// The steps of layers that work on values: each number by itself, or the numbers of a row. P rounds
// products, quotients, roots and functions; A sums and differences. A is the last accumulator: of
// two, these layers know the outer one alone. Numbers are values of the formats, in float64.
template <class T>
class ExactSteps {
 public:
  ExactSteps(const Arithmetic& arithmetic, const ArithmeticContext& context);

  // Whether products that a sum takes are exact. All others are stored: Identity rounds them to T.
  bool keeps_product() const { return keeps_product_; }

  double function(Function function, double x, std::uint64_t index, std::uint32_t tap) const;
  double root_of_sum(double a, double b, std::uint64_t index, std::uint32_t tap) const;
  double quotient(double a, double b, std::uint64_t index, std::uint32_t tap) const;
  double product(double a, double b, std::uint64_t index, std::uint32_t tap) const;

  // A(a + b). `outside`, if given, becomes whether the exact sum lies outside of A's range.
  double sum(double a, double b, std::uint64_t index, std::uint32_t tap,
             bool* outside = nullptr) const;
  // A(P(a * b) + c), or with -a * b.
  double product_and_sum(double a, double b, double c, std::uint64_t index,
                         std::uint32_t product_tap, std::uint32_t sum_tap, bool negates = false,
                         bool* outside = nullptr) const;

  // The sum of a row's numbers as `accumulate` says, where "fused" is "step".
  double sum_of(std::span<const double> values, std::uint64_t row, std::uint32_t first_tap) const;
  // That of their squares. A square is P's with the index of its number, at tap 0.
  double sum_of_squares(std::span<const double> values, std::uint64_t first_index,
                        std::uint64_t row, std::uint32_t first_tap) const;

  // As a number of y.
  T product_in_type(double x) const { return to_type<T>(arithmetic_.product, x); }
  T sum_in_type(double x) const { return to_type<T>(arithmetic_.accumulator, x); }

 private:
  template <class TermOf>
  double add_up(std::size_t count, const TermOf& term, std::uint64_t row,
                std::uint32_t first_tap) const;
  SumTerm term(double x) const;
  SumTerm square(double x, std::uint64_t index) const;
  // A zero, an infinity or NaN in the product's format.
  double stored(double special) const { return round_special<double>(product_, special); }
  Draw product_draw(std::uint64_t index, std::uint32_t tap) const {
    return draw(product_, context_.product(), index, tap);
  }

  const Arithmetic arithmetic_;  // with the last accumulator alone
  const ArithmeticContext context_;
  const GridFormat product_, accumulator_;  // of float64 numbers
  const Arithmetic in_double_;
  const bool keeps_product_, is_fast_product_, is_fast_sum_;
};

// body(row) for all rows, on several threads; `work` is about what one costs.
void for_each_row(std::size_t rows, std::size_t work, const std::function<void(std::size_t)>& body);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_EXACT_STEPS_H_
