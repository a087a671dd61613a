#include "tensorquant/formats/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace tensorquant {
namespace {

using testing::ElementsAre;

TEST(Values, OfSmallFormatsAreThoseOfTheTextbook) {
  EXPECT_THAT(values<float>(Format(FixedPoint{.bits = 3, .fraction = 1}), 100),
              ElementsAre(-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5));
  EXPECT_THAT(values<float>(Format(FixedPoint{.bits = 1, .fraction = -2}), 100),
              ElementsAre(-4, 0));
  EXPECT_THAT(values<float>(Format(FixedPoint{.bits = 2, .fraction = 1, .is_unsigned = true}), 100),
              ElementsAre(0, 0.5, 1, 1.5));
  const FixedPoint symmetric{.bits = 2, .overflow = FixedPoint::Overflow::symmetric};
  EXPECT_THAT(values<float>(Format(symmetric), 100), ElementsAre(-1, 0, 1));
  // E2M1, the 4-bit float of the OCP microscaling formats without its special encodings, but with
  // IEEE's exponent for infinity.
  EXPECT_THAT(values<float>(Format(FloatingPoint{.exponent_bits = 2, .significand_bits = 1}), 100),
              ElementsAre(-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3));
  // OCP's table of FP4 E2M1.
  const FloatingPoint fp4{
      .exponent_bits = 2, .significand_bits = 1, .special = FloatingPoint::Special::finite};
  EXPECT_THAT(values<float>(Format(fp4), 100),
              ElementsAre(-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6));
  EXPECT_THAT(values<float>(Format(Logarithmic{.min_exponent = -1, .max_exponent = 1}), 100),
              ElementsAre(-2, -1, -0.5, 0, 0.5, 1, 2));
  EXPECT_THAT(values<float>(Format(Binary{0.5}), 100), ElementsAre(-0.5, 0.5));
  EXPECT_THAT(values<float>(Format(Ternary{0.5}), 100), ElementsAre(-0.5, 0, 0.5));
}

TEST(Values, AreAsManyAsTheFactsSay) {
  const std::vector<Format> formats = {
      FixedPoint{.bits = 8, .fraction = 4},
      FixedPoint{.bits = 8, .fraction = 4, .is_unsigned = true},
      FixedPoint{.bits = 8, .overflow = FixedPoint::Overflow::symmetric},
      FloatingPoint{.exponent_bits = 4, .significand_bits = 3},
      FloatingPoint{.exponent_bits = 5, .significand_bits = 2},
      FloatingPoint{
          .exponent_bits = 4, .significand_bits = 3, .special = FloatingPoint::Special::fn},
      FloatingPoint{.exponent_bits = 4,
                    .significand_bits = 3,
                    .special = FloatingPoint::Special::fnuz,
                    .own_bias = 11},
      Posit{.bits = 8},
      Posit{.bits = 9, .exponent_bits = 0},
      Posit{.bits = 3, .exponent_bits = 6},
      P3109{.bits = 8, .precision = 1},
      P3109{.bits = 9, .precision = 4, .is_unsigned = true, .domain = P3109::Domain::finite},
      Logarithmic{.min_exponent = -7, .max_exponent = 8},
      Logarithmic{.min_exponent = -149, .max_exponent = -120, .fraction = 3},
      Binary{},
      Ternary{}};
  for (const Format& format : formats) {
    const std::vector<double> all = values<float>(format, 1000);
    const FormatFacts f = facts<float>(format);
    EXPECT_EQ(all.size(), f.count);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    EXPECT_EQ(std::set<double>(all.begin(), all.end()).size(), all.size());
    EXPECT_EQ(all.front(), f.lowest);
    EXPECT_EQ(all.back(), f.highest);
    EXPECT_EQ(*std::upper_bound(all.begin(), all.end(), 0.0), f.smallest_positive);
  }
}

// The figures of the OCP's tables of OFP8 1.0 and MX 1.0, and of ml_dtypes' README.
TEST(Facts, AreThoseOfTheStandards) {
  struct Row {
    FloatingPoint format;
    double largest, smallest;
  };
  using enum FloatingPoint::Special;
  for (const Row& row :
       {Row{{.exponent_bits = 4, .significand_bits = 3, .special = fn}, 448, 0x1p-9},
        Row{{.exponent_bits = 5, .significand_bits = 2}, 57344, 0x1p-16},
        Row{{.exponent_bits = 3, .significand_bits = 2, .special = finite}, 28, 0.0625},
        Row{{.exponent_bits = 2, .significand_bits = 3, .special = finite}, 7.5, 0.125},
        Row{{.exponent_bits = 2, .significand_bits = 1, .special = finite}, 6, 0.5},
        Row{{.exponent_bits = 4, .significand_bits = 3, .special = fnuz}, 240, 0x1p-10},
        Row{{.exponent_bits = 5, .significand_bits = 2, .special = fnuz}, 57344, 0x1p-17},
        Row{{.exponent_bits = 4, .significand_bits = 3, .special = fnuz, .own_bias = 11},
            30,
            0x1p-13}}) {
    EXPECT_EQ(facts<float>(row.format).highest, row.largest);
    EXPECT_EQ(facts<float>(row.format).smallest_positive, row.smallest);
  }
}

// Every string but NaR is a value; float32 has those with 23 bits of fraction: from 2^-20 to 2^20,
// where a posit of 32 bits has up to four more, every sixteenth of them.
TEST(Facts, OfPositsAreThoseOfTheStandard) {
  EXPECT_EQ(facts<float>(Posit{.bits = 8}).highest, 0x1p24);
  EXPECT_EQ(facts<float>(Posit{.bits = 16}).smallest_positive, 0x1p-56);
  EXPECT_EQ(facts<float>(Posit{.bits = 16}).count, 0xFFFFu);
  EXPECT_EQ(facts<double>(Posit{.bits = 32}).count, 0xFFFFFFFFu);
  EXPECT_EQ(facts<double>(Posit{.bits = 32}).highest, 0x1p120);
  std::uint64_t positive = 1;
  for (int regime = -30; regime <= 29; ++regime) {
    const int run = regime < 0 ? -regime : regime + 1;
    positive += std::uint64_t{1} << std::min(30 - run, 25);
  }
  EXPECT_EQ(facts<float>(Posit{.bits = 32}).count, 2 * positive + 1);
}

// 2^24 - 1 integers below 2^24, and 2^23 in each of the powers of two above, of both signs.
TEST(Facts, CountTheValuesThatTheTypeHas) {
  EXPECT_EQ(facts<float>(FixedPoint{.bits = 25}).count, std::uint64_t{1} << 25);
  EXPECT_EQ(facts<float>(FixedPoint{.bits = 64, .is_unsigned = true}).count,
            (std::uint64_t{1} << 24) + 40 * (std::uint64_t{1} << 23));
  EXPECT_EQ(facts<double>(FixedPoint{.bits = 64}).count,
            2 * ((std::uint64_t{1} << 53) - 1 + 10 * (std::uint64_t{1} << 52)) + 2);
  EXPECT_EQ(facts<double>(FixedPoint{.bits = 64}).highest, std::nextafter(0x1p63, 0));
  EXPECT_EQ(facts<double>(FixedPoint{.bits = 64}).lowest, -0x1p63);
}

TEST(Values, AreLeftOutWhereTheyAreTooMany) {
  EXPECT_TRUE(values<float>(Format(FixedPoint{.bits = 8}), 255).empty());
  EXPECT_EQ(values<float>(Format(FixedPoint{.bits = 8}), 256).size(), 256u);
  EXPECT_TRUE(values<float>(Format(FixedPoint{.bits = 32}), 1000).empty());
  EXPECT_TRUE(values<float>(Format(Identity{}), 1000).empty());
  EXPECT_TRUE(values<float>(Format(Sparse{0.1}), 1000).empty());
}

// By their values, one by one.
TEST(Fits, WhereTheTypeHasEveryValue) {
  const FloatingPoint types[] = {{.exponent_bits = 5, .significand_bits = 10},
                                 {.exponent_bits = 8, .significand_bits = 7}};
  std::vector<Format> formats = {Binary{}, Binary{0.1}, Binary{1e6}, Ternary{0.75}, Ternary{1e-9}};
  for (int bits : {1, 2, 8, 9, 10, 12, 13}) {
    for (int fraction = -20; fraction <= 30; ++fraction) {
      formats.push_back(FixedPoint{.bits = bits, .fraction = fraction});
    }
  }
  for (int e = 2; e <= 6; ++e) {
    for (int m = 1; m <= 11; ++m) formats.push_back(FloatingPoint{e, m});
  }
  formats.push_back(NormalFloat4{});
  for (int bits = 2; bits <= 7; ++bits) formats.push_back(AdditivePowers{bits, bits % 2 == 0});
  for (int bits = 2; bits <= 14; ++bits) {
    for (int precision = std::max(1, bits - 7); precision < bits; ++precision) {
      formats.push_back(P3109{bits, precision});
      formats.push_back(P3109{bits, precision, true, P3109::Domain::finite});
    }
  }
  for (int bits = 3; bits <= 16; ++bits) {
    for (int e = 0; (bits - 2) << e <= 126; ++e) formats.push_back(Posit{bits, e});
  }
  int fitting = 0;
  for (const FloatingPoint& type : types) {
    for (const Format& format : formats) {
      const std::vector<double> all = values<double>(format, 1 << 18);
      ASSERT_FALSE(all.empty());
      const bool has_all = std::all_of(all.begin(), all.end(), [&](double y) {
        return quantize_reference(type, static_cast<float>(y)) == y;
      });
      EXPECT_EQ(fits(format, type), has_all) << all.front() << " to " << all.back();
      fitting += has_all;
    }
  }
  EXPECT_GT(fitting, 100);
}

// These take the type's own small numbers.
TEST(Fits, WhereResultsForTheTypesNumbersDo) {
  const FloatingPoint binary16{.exponent_bits = 5, .significand_bits = 10};
  EXPECT_TRUE(fits(Identity{}, binary16));
  EXPECT_TRUE(fits(Sparse{0.1}, binary16));
  EXPECT_FALSE(fits(Logarithmic{}, binary16));  // 65504 becomes 2^16
  EXPECT_TRUE(fits(Logarithmic{.max_exponent = 15}, binary16));
  EXPECT_FALSE(fits(Logarithmic{.min_exponent = -40, .max_exponent = -30}, binary16));
}

// Each of the type's numbers in a block with itself, with a larger and with the largest one.
TEST(Fits, WhereNoBlockOfTheTypesNumbersLosesABit) {
  using Rule = Scale::Rule;
  const FloatingPoint types[] = {{.exponent_bits = 5, .significand_bits = 10},
                                 {.exponent_bits = 8, .significand_bits = 7}};
  std::vector<ElementFormat> elements = {
      kE4M3,
      FloatingPoint{5, 2},
      FloatingPoint{2, 1},
      FloatingPoint{3, 7},
      FloatingPoint{3, 10},
      FloatingPoint{3, 11},
      FixedPoint{.bits = 8, .fraction = 6},
      FixedPoint{.bits = 13, .fraction = 40, .overflow = FixedPoint::Overflow::symmetric}};
  for (const int bits : {4, 8, 9, 11, 12, 13}) {
    elements.push_back(FixedPoint{
        .bits = bits, .fraction = bits - 2, .overflow = FixedPoint::Overflow::symmetric});
    elements.push_back(FixedPoint{.bits = bits, .is_unsigned = true});
  }
  int fitting = 0;
  for (const FloatingPoint& type : types) {
    std::vector<float> numbers;
    for (const double x : values<double>(type)) {
      const auto number = static_cast<float>(x);
      const float larger = quantize_reference(type, std::fabs(number) * 1.75f * 16);
      for (const float other : {number, larger, quantize_reference(type, 1e38f)}) {
        if (std::isinf(other)) continue;
        numbers.insert(numbers.end(), {number, other});
      }
    }
    std::vector<float> results(numbers.size());
    for (const ElementFormat& element : elements) {
      for (const Rule rule : {Rule::floor, Rule::ceil, Rule::round, Rule::max}) {
        const Scaled format{element, {.rule = rule, .per = Scale::Per::block, .block = 2}};
        quantize_reference<float>(format, numbers, results);
        const bool has_all = std::all_of(results.begin(), results.end(), [&](float y) {
          return std::isnan(y) || quantize_reference(type, y) == y;
        });
        const bool is_said_to = fits(format, type);
        const auto name = testing::Message() << static_cast<int>(rule) << ' ' << element.index()
                                             << ' ' << largest_value<float>(element);
        EXPECT_TRUE(has_all || !is_said_to) << name;
        if (rule == Rule::floor) {
          EXPECT_EQ(is_said_to, has_all) << name;
        }
        fitting += is_said_to;
      }
    }
  }
  EXPECT_GE(fitting, 15);
}

// IEEE 754-2019, table 3.6 and NumPy's finfo.
TEST(Facts, OfBinary16AreThoseOfTheStandard) {
  const FormatFacts f =
      facts<float>(Format(FloatingPoint{.exponent_bits = 5, .significand_bits = 10}));
  EXPECT_EQ(f.highest, 65504);
  EXPECT_EQ(f.smallest_positive, 0x1p-24);
  EXPECT_EQ(f.count, 63487u);
  EXPECT_FALSE(f.step);
}

// Powers of two from the smallest subnormal to the largest: -149..127 and -1074..1023.
TEST(Facts, OfLogarithmicAreThoseOfTheTensorsType) {
  EXPECT_EQ(facts<float>(Format(Logarithmic{})).highest, 0x1p127);
  EXPECT_EQ(facts<float>(Format(Logarithmic{})).smallest_positive, 0x1p-149);
  EXPECT_EQ(facts<float>(Format(Logarithmic{})).count, 2u * 277 + 1);
  EXPECT_EQ(facts<double>(Format(Logarithmic{})).highest, 0x1p1023);
  EXPECT_EQ(facts<double>(Format(Logarithmic{})).smallest_positive, 0x1p-1074);
  EXPECT_EQ(facts<double>(Format(Logarithmic{})).count, 2u * 2098 + 1);
}

// float32 has all integers up to 2^24, then every second one up to 2^25, every fourth up to 2^26.
TEST(Facts, OfWideFixedPointAreThoseThatTheTensorsTypeHas) {
  const FormatFacts narrow = facts<float>(Format(FixedPoint{.bits = 25}));
  EXPECT_EQ(narrow.highest, 0xFFFFFF);
  EXPECT_EQ(narrow.step, 1);
  EXPECT_EQ(narrow.count, 0x2000000u);
  const FormatFacts wide = facts<float>(Format(FixedPoint{.bits = 27}));
  EXPECT_EQ(wide.lowest, -0x4000000);
  EXPECT_EQ(wide.highest, 0x3FFFFFC);
  EXPECT_EQ(wide.smallest_positive, 1);
  EXPECT_FALSE(wide.step);
  EXPECT_EQ(wide.count, 2u * (0xFFFFFF + 0x800000 + 0x800000) + 2);
  const FormatFacts exact = facts<double>(Format(FixedPoint{.bits = 27}));
  EXPECT_EQ(exact.highest, 0x3FFFFFF);
  EXPECT_EQ(exact.step, 1);
  EXPECT_EQ(exact.count, 0x8000000u);
}

TEST(Facts, OfMagnitudesAreRoundedToTheTensorsType) {
  EXPECT_EQ(facts<float>(Format(Binary{0.1})).highest, double{0.1f});
  EXPECT_EQ(facts<double>(Format(Binary{0.1})).highest, 0.1);
  EXPECT_THAT(values<float>(Format(Ternary{0.1}), 3), ElementsAre(-0.1f, 0, 0.1f));
  EXPECT_EQ(facts<float>(Format(Sparse{0.1})).smallest_positive, double{0.1f});
}

}  // namespace
}  // namespace tensorquant
