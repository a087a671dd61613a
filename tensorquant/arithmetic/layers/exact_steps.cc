#include "tensorquant/arithmetic/layers/exact_steps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/layers/block.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

template <class T>
GridFormat rounds_doubles(const GridFormat& format) {
  return std::is_same_v<T, float> ? in_double(format) : format;
}

Arithmetic of_values(Arithmetic arithmetic) {
  arithmetic.accumulator = arithmetic.last_accumulator();
  arithmetic.outer = {};
  return arithmetic;
}

template <class T>
Arithmetic rounds_doubles(Arithmetic arithmetic) {
  arithmetic.product = rounds_doubles<T>(arithmetic.product);
  arithmetic.accumulator = rounds_doubles<T>(arithmetic.accumulator);
  return arithmetic;
}

// A double that is exact or rounded to odd.
double rounded(const GridFormat& format, double x, Draw draw) {
  return std::visit(
      [&](const auto& f) -> double {
        if constexpr (TakesDraw<std::decay_t<decltype(f)>>) {
          return quantize_reference(f, x, draw);
        } else {
          return quantize_reference(f, x);
        }
      },
      format);
}

// Where no step of a fast path can overflow or lose bits below.
bool is_moderate(double x) { return std::abs(x) < 0x1p+900 && std::abs(x) > 0x1p-900; }

// The neighbour with a last bit of 1, where the number lies above x or below it by `rest`.
double to_odd(double x, double rest) {
  const std::uint64_t bits = to_bits(x);
  if (rest == 0 || (bits & 1) != 0) return x;
  return from_bits<double>((rest > 0) == (x > 0) ? bits + 1 : bits - 1);
}

// f(x) where both ends of what it may be are rounded to one value.
std::optional<double> rounded_approximation(const GridFormat& format, Function function, double x,
                                            Draw draw) {
  const double y = approximation(function, x);
  if (!is_moderate(y)) return {};
  const double low = rounded(format, y * (1 - kApproximation), draw);
  const double high = rounded(format, y * (1 + kApproximation), draw);
  if (to_bits(low) != to_bits(high)) return {};
  return low;
}

}  // namespace

template <class T>
ExactSteps<T>::ExactSteps(const Arithmetic& arithmetic, const ArithmeticContext& context)
    : arithmetic_(of_values(arithmetic)),
      context_(context),
      product_(rounds_doubles<T>(arithmetic_.product)),
      accumulator_(rounds_doubles<T>(arithmetic_.accumulator)),
      in_double_(rounds_doubles<T>(arithmetic_)),
      keeps_product_(is_none(arithmetic.product)),
      is_fast_product_(std::is_same_v<T, float> && takes_odd(product_)),
      is_fast_sum_(std::is_same_v<T, float> && takes_odd(accumulator_)) {}

template <class T>
double ExactSteps<T>::function(Function function, double x, std::uint64_t index,
                               std::uint32_t tap) const {
  const Draw random = product_draw(index, tap);
  if (is_fast_product_ && !known_value(function, x)) {
    if (const auto y = rounded_approximation(product_, function, x, random)) return *y;
  }
  return round_function<double>(product_, function, x, random);
}

template <class T>
double ExactSteps<T>::root_of_sum(double a, double b, std::uint64_t index,
                                  std::uint32_t tap) const {
  ExactSum<double> sum;
  sum.add(a);
  sum.add(b);
  if (sum.has_special() || sum.is_zero() || sum.number().negative) {
    return stored(
        std::sqrt(a + b));  // the sum of doubles has the sign or special value that counts
  }
  const ExactNumber root = exact_root_of_sum(a, b, modulus_of(product_));
  return round_exact<double>(product_, root, product_draw(index, tap));
}

template <class T>
double ExactSteps<T>::quotient(double a, double b, std::uint64_t index, std::uint32_t tap) const {
  const Draw random = product_draw(index, tap);
  if (is_fast_product_ && is_moderate(a) && is_moderate(b)) {
    const double quotient = a / b;
    if (is_moderate(quotient)) {
      const double rest = std::fma(-quotient, b, a);  // exact
      return rounded(product_, to_odd(quotient, b > 0 ? rest : -rest), random);
    }
  }
  return round_quotient<double>(product_, a, b, random);
}

template <class T>
double ExactSteps<T>::product(double a, double b, std::uint64_t index, std::uint32_t tap) const {
  const Draw random = product_draw(index, tap);
  const double product = a * b;
  if (is_fast_product_ && is_moderate(product)) {
    return rounded(product_, to_odd(product, std::fma(a, b, -product)), random);
  }
  ExactSum<double> sum;  // whose modulus may count
  sum.add_product(a, b);
  return sum.rounded(product_, random);
}

template <class T>
double ExactSteps<T>::sum(double a, double b, std::uint64_t index, std::uint32_t tap,
                          bool* outside) const {
  const Draw random = draw(accumulator_, context_.accumulator(), index, tap);
  const double about = a + b;
  if (is_fast_sum_ && outside == nullptr && std::abs(about) < 0x1p+900) {
    const double b_part = about - a;
    const double rest = (a - (about - b_part)) + (b - b_part);  // exact: D. E. Knuth's
    return rounded(accumulator_, to_odd(about, rest), random);
  }
  ExactSum<double> sum;
  sum.add(a);
  sum.add(b);
  return rounded_sum<T>(arithmetic_, context_, sum, index, tap, outside);
}

template <class T>
double ExactSteps<T>::product_and_sum(double a, double b, double c, std::uint64_t index,
                                      std::uint32_t product_tap, std::uint32_t sum_tap,
                                      bool negates, bool* outside) const {
  const double factor = negates ? -a : a;
  if (!keeps_product_) {
    const double rounded_product = product(a, b, index, product_tap);
    return sum(negates ? -rounded_product : rounded_product, c, index, sum_tap, outside);
  }
  ExactSum<double> sum;
  sum.add_product(factor, b);
  sum.add(c);
  return rounded_sum<T>(arithmetic_, context_, sum, index, sum_tap, outside);
}

template <class T>
double ExactSteps<T>::sum_of(std::span<const double> values, std::uint64_t row,
                             std::uint32_t first_tap) const {
  return add_up(
      values.size(), [&](std::size_t k) { return term(values[k]); }, row, first_tap);
}

template <class T>
double ExactSteps<T>::sum_of_squares(std::span<const double> values, std::uint64_t first_index,
                                     std::uint64_t row, std::uint32_t first_tap) const {
  return add_up(
      values.size(), [&](std::size_t k) { return square(values[k], first_index + k); }, row,
      first_tap);
}

template <class T>
template <class TermOf>
double ExactSteps<T>::add_up(std::size_t count, const TermOf& term, std::uint64_t row,
                             std::uint32_t first_tap) const {
  OutputSum<double> sum(in_double_, context_, row, nullptr, nullptr, first_tap);
  const std::size_t ends[] = {count};
  const auto no_scales = [](std::size_t) { return std::pair<double, double>(1, 1); };
  return sum.add_up(ends, term, no_scales, nullptr);
}

template <class T>
SumTerm ExactSteps<T>::term(double x) const {
  constexpr int kMinNormalExponent = std::numeric_limits<T>::min_exponent - 1;
  const bool is_number = std::isfinite(x) && x != 0;
  return term_of(x, is_number ? aligned_exponent(x, kMinNormalExponent) : 0);
}

template <class T>
SumTerm ExactSteps<T>::square(double x, std::uint64_t index) const {
  const SumTerm factor = term(x);
  const int exponent = 2 * factor.exponent;
  if (keeps_product_ || arithmetic_.accumulate.mode == Accumulate::Mode::fused) {
    return {x * x, factor.number ? std::optional(exact_product(x, x)) : std::nullopt, exponent};
  }
  return term_of(product(x, x, index, 0), exponent);
}

template class ExactSteps<float>;
template class ExactSteps<double>;

void for_each_row(std::size_t rows, std::size_t work,
                  const std::function<void(std::size_t)>& body) {
  constexpr std::size_t kStep = 100;  // times what the simplest operation costs
  const std::size_t row_work = kStep * std::max<std::size_t>(work, 1);
  parallel_for(rows * row_work, row_work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t row = begin / row_work; row < end / row_work; ++row) body(row);
  });
}

}  // namespace tensorquant
