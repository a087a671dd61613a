#ifndef TENSORQUANT_ARITHMETIC_SUMS_TILE_STEPS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_TILE_STEPS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "tensorquant/arithmetic/grid_format.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// The loops over the outputs of a tile, all of which take each step together.

// What is read beyond the end of an array, and may be written: the loops take whole vectors.
inline constexpr std::size_t kTileMargin = 64;

// What random rounding asks for: see WithDraws().
struct LaneDraws {
  int random_bits = 0;
  int integer_bits = 0;
};

// Fixed point, to saturate or to wrap.
struct FixedLaneFormat {
  Rounding rounding;
  LaneDraws draws;
  int fraction;
  double lowest, highest;  // integers
  bool wraps;
};

struct FloatLaneFormat {
  Rounding rounding;
  LaneDraws draws;
  int significand_bits, min_exponent;
  double highest;
  bool has_negative_zero;
  // What magnitudes beyond `highest` become, where that is something else.
  std::optional<double> overflow;
};

// Whole powers of two.
struct PowerLaneFormat {
  std::uint64_t rise;      // of a significand from the border on carries this into the exponent
  double lowest, highest;  // powers
  double first;            // the smallest magnitude that does not give zero
};

// A format whose rounding the loops have in their own vectors, of finite numbers.
using LaneFormat = std::variant<FixedLaneFormat, FloatLaneFormat, PowerLaneFormat>;

// Nothing for formats that have a kernel alone. `largest` bounds the numbers; infinite where
// nothing is known of them.
std::optional<LaneFormat> lane_format(const GridFormat& format, double largest);

// Of a format that rounds at random.
std::optional<int> random_bits_of(const LaneFormat& format);

// Some taps of some rows: element k of row i is a[k * rows + i].
struct TileFactors {
  const float* a;
  const float* b;  // the columns of the first tap; those of the next are `stride` behind
  std::size_t taps, rows, columns, stride;
};

// products[k * size + i * columns + j] = the product, rounded; exact without a rounding. Row by
// row, and behind each tap's last one there may be anything. Random rounding takes words that lie
// as the products do; others none.
void multiply(const TileFactors& factors, const std::optional<LaneFormat>& format,
              const std::uint32_t* words, std::size_t size, double* products);

// Some taps, `size` apart, which is a multiple of kTileMargin, and their random words, if any.
struct TileAddends {
  const double* values;
  const std::uint32_t* words;
  std::size_t taps, size;
};

// sums[i] = the sum and the addend, rounded, for one tap after the other, where the sums in
// float64 are exact or as good; with to_odd they are rounded to odd first.
void add_up(const TileAddends& addends, const LaneFormat& format, bool to_odd, double* sums);

// The same; returns how many of the sums lay outside these ends before they were rounded.
std::size_t add_up_and_count(const TileAddends& addends, const LaneFormat& format, bool to_odd,
                             const Bounds<double>& ends, double* sums);

// Extremes of sums, 0 among them.
struct SumExtremes {
  double lowest = 0, highest = 0;
};

// sums[i] += the products, one tap after the other, as float64 adds; then the extremes know of all
// sums on the way that are finite. size is a multiple of kTileMargin.
void add_to_running(const double* products, std::size_t taps, std::size_t size, double* sums,
                    SumExtremes& extremes);

// The extremes know of all of these that are finite, too.
void widen(SumExtremes& extremes, std::span<const double> values);

// How many lie outside.
std::size_t count_outside(std::span<const double> values, const Bounds<double>& ends);

// All taps of some columns, from `first` on: tap by tap, `stride` apart, a multiple of kTileMargin.
void pack_columns(const Factor<float>& b, std::size_t first, std::size_t stride, float* packed);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_TILE_STEPS_H_
