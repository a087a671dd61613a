#ifndef TENSORQUANT_ARITHMETIC_SUMS_OUTER_SUMS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_OUTER_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// The second level of sums: t = B(t + S_a * S_b * s) for the sum s of each segment, then the bias.
// A tile of t at a time, so that it stays in the cache. s and t lie row by row, as a Tile says.
class OuterSums {
 public:
  // Segment i ends before tap ends[i].
  OuterSums(const Arithmetic& arithmetic, const ArithmeticContext& context,
            const SumsOfProducts<float>& sums, std::vector<std::size_t> ends);

  const std::vector<std::size_t>& ends() const { return ends_; }
  std::size_t first_tap(std::size_t segment) const { return segment == 0 ? 0 : ends_[segment - 1]; }

  // The scales of scales.size() columns from `first` on; columns beyond the last repeat it.
  void copy_column_scales(std::size_t segment, std::size_t first, std::span<double> scales) const;

  // column_scales are those of the tile's columns; there are t and s, of any value, up to the
  // stride.
  void add(const Tile& tile, std::size_t segment, std::span<const double> column_scales,
           const double* s, double* t) const;
  // Adds the bias and stores y.
  void finish(const Tile& tile, double* t) const;

 private:
  void add_exactly(const Tile& tile, std::size_t row, std::size_t segment, std::size_t first,
                   std::span<const double> s, std::span<double> t) const;
  void add_bias(const Tile& tile, std::size_t row, std::span<double> t) const;
  void round(const Tile& tile, std::size_t row, std::uint32_t tap, std::span<double> t) const;
  std::int64_t place_of(const Tile& tile, std::size_t row, std::size_t j) const;
  Draw draw_of(std::int64_t place, std::uint32_t tap) const;
  float scale_of(const Factor<float>& factor, std::size_t segment, std::size_t line) const;

  const GridFormat& format_;
  const bool is_float32_, takes_odd_;
  const ArithmeticContext& context_;
  const SumsOfProducts<float>& sums_;
  const std::vector<std::size_t> ends_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_OUTER_SUMS_H_
