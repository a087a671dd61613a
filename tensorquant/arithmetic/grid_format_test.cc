// What arithmetic asks of formats, held against their values.

#include "tensorquant/arithmetic/grid_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/exact/exact_number.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

struct Grid {
  std::string spec;
  GridFormat format;
  std::vector<double> values;  // in a float32 tensor, ascending

  bool has(double x) const { return std::binary_search(values.begin(), values.end(), x); }
};

// All of the list that have few enough values to look at.
std::vector<Grid> listed_grids() {
  std::vector<Grid> grids;
  for (const FormatEntry& entry : format_list()) {
    for (const std::string_view example : entry.examples) {
      const auto quantizer = make_quantizer(std::string(example));
      const auto grid = grid_format(*quantizer->format());
      if (!grid) continue;
      std::vector<double> values = tensorquant::values<float>(*quantizer->format(), 1 << 17);
      if (!values.empty()) grids.push_back({std::string(example), *grid, std::move(values)});
    }
  }
  return grids;
}

// x, moved away from zero by a part of its last bit in float64, or towards zero.
ExactNumber moved(double x, bool away) {
  ExactNumber number = exact_number(x);
  number.significand = (number.significand << 60) + (away ? 1 : -1);
  number.exponent -= 60;
  return number;
}

// The same number rounded to odd.
double moved_to_odd(double x, bool away) {
  const std::uint64_t bits = to_bits(x);
  return (bits & 1) != 0 ? x : from_bits<double>(away ? bits + 1 : bits - 1);
}

// A neighbour of `from` and the numbers in between where borders may lie.
std::vector<double> places_between(double from, double to) {
  return {from, (from + to) / 2, (3 * from + to) / 4, std::copysign(std::sqrt(from * to), to)};
}

// visit(x) for values of the grid and numbers between them, beyond both ends, and next to zero.
template <class Visit>
void for_each_place(const Grid& grid, const Visit& visit) {
  const auto visit_number = [&](double x) {
    if (std::isfinite(x) && x != 0) visit(x);
  };
  for (std::size_t i = 0; i + 1 < grid.values.size(); ++i) {
    for (const double x : places_between(grid.values[i], grid.values[i + 1])) visit_number(x);
  }
  for (const double end : {grid.values.front(), grid.values.back()}) {
    for (const double factor : {1.0, 1.25, 1.5, 2.0, 0x1p100}) visit_number(factor * end);
  }
  visit_number(0x1p-200);
  visit_number(-0x1p-200);
}

TEST(GridFormats, AreThoseOfTheListThatHaveFewerBitsThanDoubles) {
  const auto is_grid = [](const char* spec) {
    return grid_format(*make_quantizer(spec)->format()).has_value();
  };
  for (const char* spec : {"posit,3", "posit,8", "posit,32", "posit,32,0", "posit,3,6", "p3109,8,3",
                           "p3109,16,15,unsigned", "nearest,53,0", "logarithmic"}) {
    EXPECT_TRUE(is_grid(spec)) << spec;
  }
  for (const char* spec : {"nearest,54,0", "logarithmic,fraction=1", "nf4,scale=1", "apot,5",
                           "posit,8,block=16,scale=floor", "binary", "ternary", "sparse,0.5"}) {
    EXPECT_FALSE(is_grid(spec)) << spec;
  }
}

TEST(GridFormats, EndWhereTheirValuesEnd) {
  for (const Grid& grid : listed_grids()) {
    const Bounds<double> ends = ends_of<float>(grid.format);
    EXPECT_EQ(ends.lowest, grid.values.front()) << grid.spec;
    EXPECT_EQ(ends.highest, grid.values.back()) << grid.spec;
  }
}

TEST(GridFormats, HaveMultiplesOfTheirLastBit) {
  for (const Grid& grid : listed_grids()) {
    for (const double value : grid.values) {
      const double k = std::ldexp(value, -last_bit(grid.format));
      ASSERT_EQ(k, std::trunc(k)) << grid.spec << ": " << value;
    }
  }
}

TEST(GridFormats, KeepNoNumbersThatAreNotValues) {
  constexpr int kMost = 1 << 10;
  for (const Grid& grid : listed_grids()) {
    for (int last = -12; last <= 6; ++last) {
      for (int bits = 1; bits <= 11; ++bits) {
        for (int k = 1; k <= kMost; k = 2 * k + (k > 1 ? 1 : 0)) {  // 1, 2, 5, 11 ...
          const double largest = std::ldexp(k, last);
          if (!keeps(grid.format, {largest, last, bits})) continue;
          for (int j = 1; j <= k; ++j) {
            const auto n = static_cast<unsigned>(j);
            if (static_cast<int>(std::bit_width(n)) - std::countr_zero(n) > bits) continue;
            ASSERT_TRUE(grid.has(std::ldexp(j, last)))
                << grid.spec << " and " << j << " * 2^" << last;
          }
        }
      }
    }
    EXPECT_FALSE(keeps(grid.format, {INFINITY, 0, 1})) << grid.spec;
    EXPECT_FALSE(keeps(grid.format, {NAN, 0, 1})) << grid.spec;
  }
}

// posit,16 has 11 bits of the fraction from 1/16 to 16, 10 up to 2^8, 9 up to 2^12 and so on; the
// last power of two with all bits of its exponent is 2^47.
TEST(GridFormats, PositsKeepNumbersWithFewBits) {
  const GridFormat posit = Posit{};
  for (const NumberRange& kept : {NumberRange{15, 0, 4},
                                  {1023, 0, 10},
                                  {1024, 0, 10},
                                  {255, -3, 11},
                                  {4095, 0, 10},
                                  {0x1p47, 0, 1},
                                  {0, 1000, 0}}) {
    EXPECT_TRUE(keeps(posit, kept)) << kept.largest;
  }
  for (const NumberRange& lost :
       {NumberRange{2047, 0, 11}, {4095, 0, 11}, {0x1p49, 0, 1}, {1, -57, 1}, {0x1p-60, -60, 0}}) {
    EXPECT_FALSE(keeps(posit, lost)) << lost.largest;
  }
}

TEST(GridFormats, BoundWhatRoundingMakesOfANumber) {
  for (const Grid& grid : listed_grids()) {
    for_each_place(grid, [&](double x) {
      if (is_none(grid.format)) return;
      const double bound = bound_after_rounding(grid.format, std::abs(x), 1);
      for (const bool away : {false, true}) {
        const double y = round_exact<float>(grid.format, moved(x, away), {});
        const bool wraps = modulus_of(grid.format).has_value();
        if (!std::isfinite(y) || (wraps && !grid.has(x))) continue;
        ASSERT_LE(std::abs(y), bound) << grid.spec << ": " << x;
      }
    });
  }
}

TEST(GridFormats, RoundOddDoublesAsTheNumbersThatTheseStandFor) {
  for (const Grid& grid : listed_grids()) {
    if (!takes_odd(grid.format)) continue;
    for_each_place(grid, [&](double x) {
      for (const bool away : {false, true}) {
        const Draw draw{0x12345678, 0};
        const double wanted = round_exact<float>(grid.format, moved(x, away), draw);
        const double odd = moved_to_odd(x, away);
        const double found = round_exact<float>(grid.format, exact_number(odd), draw);
        ASSERT_TRUE(same_bits(found, wanted) || (std::isnan(found) && std::isnan(wanted)))
            << grid.spec << ": " << hex(odd);
      }
    });
  }
}

// The borders are the posits of one bit more that lie between; where bits of the exponent are lost
// they are the geometric means. All posits of up to 11 bits, and sums of more bits than doubles.
TEST(ExactNumbers, GoToTheNearestPositWhichIsNeverZero) {
  for (int bits = 3; bits <= 11; ++bits) {
    for (int exponent_bits = 0; (bits - 1) << exponent_bits <= 126; ++exponent_bits) {
      const Posit format{bits, exponent_bits};
      const std::vector<double> finer = values<double>(Posit{bits + 1, exponent_bits});
      const auto round = [&](const ExactNumber& x) { return round_exact<float>(format, x, {}); };
      // Zero, then all posits of one bit more: values of the format and borders in turns.
      const std::size_t zero = finer.size() / 2;
      ASSERT_EQ(finer[zero], 0);
      for (std::size_t code = 1; zero + 2 * code < finer.size(); ++code) {
        const double value = finer[zero + 2 * code];
        const bool is_last = zero + 2 * code + 2 >= finer.size();
        for (const double sign : {1.0, -1.0}) {
          for (const bool away : {false, true}) {
            ASSERT_EQ(round(moved(sign * value, away)), sign * value) << bits << ": " << value;
          }
          ASSERT_EQ(round(exact_number(sign * value)), sign * value) << bits << ": " << value;
          if (is_last) continue;
          const double border = finer[zero + 2 * code + 1], next = finer[zero + 2 * code + 2];
          ASSERT_EQ(round(moved(sign * border, false)), sign * value) << bits << ": " << border;
          ASSERT_EQ(round(exact_number(sign * border)), sign * (code % 2 == 0 ? value : next));
          ASSERT_EQ(round(moved(sign * border, true)), sign * next) << bits << ": " << border;
        }
      }
      for (const double sign : {1.0, -1.0}) {
        for (const int far : {130, 1000, 5000}) {
          const bool negative = sign < 0;
          ASSERT_EQ(round({negative, 3, far, false}), sign * format.largest());
          ASSERT_EQ(round({negative, 3, -far, false}), sign * format.smallest());
        }
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
