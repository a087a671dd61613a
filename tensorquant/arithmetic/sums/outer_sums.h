#ifndef TENSORQUANT_ARITHMETIC_SUMS_OUTER_SUMS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_OUTER_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// The exponents of some powers of two, or zeros, which have none; with other numbers among them
// are_powers is false.
struct Exponents {
  int lowest = 0, highest = 0;
  bool are_powers = false;
};
Exponents exponents_of(std::span<const float> numbers);

// All products of two of these are numbers of float32.
inline bool multiply_exactly(const Exponents& a, const Exponents& b) {
  return a.are_powers && b.are_powers && a.lowest + b.lowest >= -149 &&
         a.highest + b.highest <= 127;
}

// The scales of neighbouring columns in a segment.
struct ColumnScales {
  std::span<const float> values;
  Exponents exponents;
};

// The second level of sums: t = B(t + S_a * S_b * s) for the sum s of each segment, then the bias.
// A tile of t at a time, so that it stays in the cache. s and t lie row by row, as a Tile says.
class OuterSums {
 public:
  // Segment i ends before tap ends[i].
  OuterSums(const Arithmetic& arithmetic, const ArithmeticContext& context,
            const SumsOfProducts<float>& sums, std::vector<std::size_t> ends);

  const std::vector<std::size_t>& ends() const { return ends_; }
  std::size_t first_tap(std::size_t segment) const { return segment == 0 ? 0 : ends_[segment - 1]; }
  // Whether float32 is B, so that add() and finish() may have t in float.
  bool adds_in_float32() const { return is_float32_; }

  // Of room.size() columns from `first` on; columns beyond the last repeat it.
  ColumnScales column_scales(std::size_t segment, std::size_t first, std::span<float> room) const;

  // The scales are those of the tile's columns; there are t and s, of any value, for all of them.
  template <class T>
  void add(const Tile& tile, std::size_t segment, const ColumnScales& scales, const double* s,
           T* t) const;
  std::span<const float> row_scales(std::size_t segment) const {
    const std::size_t rows = sums_.rows.size();
    return std::span(row_scales_).subspan(segment * rows, rows);
  }
  // Adds the bias and stores y.
  template <class T>
  void finish(const Tile& tile, T* t) const;

  // Whether all s are numbers of float32.
  void set_sums_in_float32(bool are) { sums_in_float32_ = are; }

 private:
  // An output, or the first of some in a row.
  struct Place {
    std::size_t row, column;
  };
  void add_in_double(const Place& place, std::size_t segment, std::span<const float> column_scales,
                     std::span<const double> s, std::span<double> t) const;
  double added_exactly(const Place& place, std::size_t segment, double s, double t) const;
  void add_bias(const Place& place, std::span<double> t) const;
  void round(const Place& place, std::uint32_t tap, std::span<double> t) const;
  std::int64_t index_of(const Place& place) const;
  Draw draw_of(const Place& place, std::uint32_t tap) const;
  float scale_of(const Factor<float>& factor, std::size_t segment, std::size_t line) const;
  float row_scale(std::size_t segment, std::size_t row) const {
    return row_scales_[segment * sums_.rows.size() + row];
  }

  const GridFormat& format_;
  const bool is_float32_, takes_odd_;
  const ArithmeticContext& context_;
  const SumsOfProducts<float>& sums_;
  const std::vector<std::size_t> ends_;
  std::vector<float> row_scales_;         // of each segment
  std::vector<Exponents> row_exponents_;  // likewise
  bool sums_in_float32_ = false;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_OUTER_SUMS_H_
