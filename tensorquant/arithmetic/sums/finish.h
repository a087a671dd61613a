#ifndef TENSORQUANT_ARITHMETIC_SUMS_FINISH_H_
#define TENSORQUANT_ARITHMETIC_SUMS_FINISH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/sum_kernels.h"

namespace tensorquant {

// Some rows and columns of outputs, whose sums lie row by row, `stride` apart.
struct Tile {
  std::size_t row, rows;
  std::size_t column, columns;
  std::size_t stride;
};

// Of its outputs, as its sums lie.
std::vector<std::int64_t> indices_of(const SumsOfProducts<float>& sums, const Tile& tile);

// s + x, rounded to odd: where the sum is no double, the one of its two neighbours whose last bit
// is 1. Rounding that again, to a format that is at least two bits shorter, is one rounding (S.
// Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
void add_to_odd(std::span<double> s, std::span<const double> x);
// t + a * b, likewise, up to the first element with a number so large or small that the steps on
// the way could overflow or underflow; returns its number.
std::size_t add_products_to_odd(std::span<double> t, std::span<const double> a,
                                std::span<const double> b);

// The float32 next to t[i] + a * b[i] * s[i], ties to even, rounded once, in place of t[i]: up to
// the first one that may be beyond float32's normal numbers; returns its number. a is of float32.
std::size_t add_scaled(double a, const float* b, const double* s, std::span<float> t);
// The same where all a * b[i] and s[i] are numbers of float32.
std::size_t add_scaled_floats(double a, const float* b, const double* s, std::span<float> t);

// What follows the last tap: the accumulator's rounding for Accumulate::once, the bias, and the
// conversion to float. The sums are exact, and overwritten.
void finish_tile(const SumJob& job, const Tile& tile, double* sums, RangeReport* report = nullptr);

// values[i] rounded to the format; each is exact or rounded to odd. indices[i], the index of its
// output, matters to random rounding alone.
void round_all(const GridFormat& format, const RandomStream& random, std::uint32_t tap,
               std::span<const std::int64_t> indices, std::span<double> values);

// Looks at sums that are about to be rounded, for the report's count of the clamped ones and,
// before the last rounding, for SumsOfProducts::outside.
void look_at_sums(const SumJob& job, const Tile& tile, std::span<const double> values, bool is_last,
                  RangeReport* report);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_FINISH_H_
