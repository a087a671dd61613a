// The laws that every quantizer keeps, for all strings of the one list.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/formats/format.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/floats.h"
#include "tests/hostile_float_environment.h"

namespace tensorquant {
namespace {

bool finds_scales(const Quantizer& q) {
  const auto* scaled = std::get_if<Scaled>(q.format());
  return scaled != nullptr && tensorquant::finds_scales(*scaled);
}

// But for those that find scales in the tensor, whose laws hold inside a group:
// kernels/scaled_test.cc.
std::vector<std::shared_ptr<const Quantizer>> all_quantizers() {
  std::vector<std::shared_ptr<const Quantizer>> all;
  for (const FormatEntry& entry : format_list()) {
    for (std::string_view spec : entry.examples) {
      if (auto q = make_quantizer(spec); !finds_scales(*q)) all.push_back(std::move(q));
    }
  }
  return all;
}

bool wraps(const Quantizer& q) {
  const auto* fixed = std::get_if<FixedPoint>(q.format());
  return fixed != nullptr && fixed->wraps();
}
// And has an infinity for the positive one.
bool gives_nan_to_negatives(const Quantizer& q) {
  const auto* p3109 = std::get_if<P3109>(q.format());
  return p3109 != nullptr && p3109->is_unsigned && std::isnan(p3109->negative_value());
}
// Where numbers are out of range.
bool gives_nan(const Quantizer& q) {
  if (std::holds_alternative<Posit>(*q.format())) return true;  // infinities
  if (gives_nan_to_negatives(q)) return true;
  const auto* floating = std::get_if<FloatingPoint>(q.format());
  return floating != nullptr && floating->overflow == FloatingPoint::Overflow::nan;
}
bool drops_what_is_out_of_range(const Quantizer& q) {
  const auto* fixed = std::get_if<FixedPoint>(q.format());
  return fixed != nullptr && fixed->overflow == FixedPoint::Overflow::zero;
}

template <class T>
std::vector<T> quantized(const Quantizer& q, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  q.quantize(std::span<const T>(x), y);
  return y;
}

template <class T>
std::vector<T> inputs() {
  std::vector<T> x = interesting_floats<T>();
  for (const auto& more : {random_bit_patterns<T>(20000, 1), random_values<T>(20000, 2)}) {
    x.insert(x.end(), more.begin(), more.end());
  }
  return x;
}

template <class T>
class EveryQuantizer : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(EveryQuantizer, Types);

// Values that are rounded down to the tensor's type lie below their own border.
bool takes_values_below_their_border(const Quantizer& q) {
  const auto* powers = std::get_if<Logarithmic>(q.format());
  return powers != nullptr && powers->fraction > 0 &&
         powers->rounding == Logarithmic::Rounding::down;
}

TYPED_TEST(EveryQuantizer, QuantizingTwiceChangesNothing) {
  for (const auto& q : all_quantizers()) {
    if (takes_values_below_their_border(*q)) continue;
    const std::vector<TypeParam> once = quantized(*q, inputs<TypeParam>());
    const std::vector<TypeParam> twice = quantized(*q, once);
    for (std::size_t i = 0; i < once.size(); ++i) {
      ASSERT_TRUE(same_bits(twice[i], once[i])) << q->spec();
    }
  }
}

TYPED_TEST(EveryQuantizer, IsMonotoneUnlessItWrapsOrDraws) {
  std::vector<TypeParam> x = inputs<TypeParam>();
  std::erase_if(x, [](TypeParam value) { return std::isnan(value); });
  std::sort(x.begin(), x.end());
  for (const auto& q : all_quantizers()) {
    if (wraps(*q) || drops_what_is_out_of_range(*q) || q->is_random() ||
        q->format()->index() == Format(Sparse{}).index()) {
      continue;
    }
    std::vector<TypeParam> y = quantized(*q, x);
    if (gives_nan(*q)) std::erase_if(y, [](TypeParam value) { return std::isnan(value); });
    for (std::size_t i = 1; i < y.size(); ++i) {
      ASSERT_LE(y[i - 1], y[i]) << q->spec() << ": from " << hex(y[i - 1]) << " to " << hex(y[i]);
    }
  }
}

TYPED_TEST(EveryQuantizer, LeavesNanAsItCameUnlessItWraps) {
  const std::vector<TypeParam> all = inputs<TypeParam>();
  for (const auto& q : all_quantizers()) {
    const std::vector<TypeParam> y = quantized(*q, all);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!std::isnan(all[i])) {
        // Wrapping has no value for an infinity either.
        const auto limits =
            std::visit([](const auto& f) { return bounds<TypeParam>(f); }, *q->format());
        const bool is_beyond = all[i] < limits.lowest || all[i] > limits.highest;
        ASSERT_TRUE(!std::isnan(y[i]) || (wraps(*q) && std::isinf(all[i])) ||
                    (gives_nan(*q) && is_beyond))
            << q->spec();
        const bool has_infinity = all[i] > 0 && gives_nan_to_negatives(*q);
        ASSERT_TRUE(std::isnan(y[i]) || !std::isinf(all[i]) || has_infinity ||
                    !(wraps(*q) || gives_nan(*q)));
      } else if (wraps(*q)) {
        ASSERT_TRUE(same_bits(y[i], std::numeric_limits<TypeParam>::quiet_NaN())) << q->spec();
      } else {
        ASSERT_TRUE(same_bits(y[i], all[i])) << q->spec();
      }
    }
  }
}

TYPED_TEST(EveryQuantizer, GivesValuesOfItsFormatOnly) {
  for (const auto& q : all_quantizers()) {
    const std::vector<double> allowed = values<TypeParam>(*q->format(), 5000);
    if (allowed.empty()) continue;
    for (TypeParam y : quantized(*q, inputs<TypeParam>())) {
      if (!std::isfinite(y)) continue;
      ASSERT_TRUE(std::binary_search(allowed.begin(), allowed.end(), static_cast<double>(y)))
          << q->spec() << " " << hex(y);
    }
  }
}

TYPED_TEST(EveryQuantizer, OnAGridErrsByLessThanAStepAndSaturatesOutside) {
  using T = TypeParam;
  const std::vector<T> x = inputs<T>();
  for (const auto& q : all_quantizers()) {
    const auto* fixed = std::get_if<FixedPoint>(q->format());
    if (fixed == nullptr || wraps(*q)) continue;
    const Bounds<T> limits = bounds<T>(*fixed);
    const std::vector<T> y = quantized(*q, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) continue;
      SCOPED_TRACE(q->spec() + " of " + hex(x[i]));
      if (drops_what_is_out_of_range(*q) && (x[i] < limits.lowest || x[i] > limits.highest)) {
        // Within a step of an end it may be rounded to it.
        const T end = x[i] < limits.lowest ? limits.lowest : limits.highest;
        const bool is_near = std::ldexp(std::abs(x[i] - end), fixed->fraction) < 1;
        ASSERT_TRUE(y[i] == 0 || (is_near && y[i] == end));
      } else if (x[i] <= limits.lowest) {
        ASSERT_TRUE(same_bits(y[i], limits.lowest));
      } else if (x[i] >= limits.highest) {
        ASSERT_TRUE(same_bits(y[i], limits.highest));
      } else {
        // In steps. k is an integer, and all comparisons are exact.
        const double k = std::ldexp(static_cast<double>(y[i]), fixed->fraction);
        double t = std::ldexp(static_cast<double>(x[i]), fixed->fraction);
        if (x[i] != 0 && t == 0) t = std::copysign(0x1p-1000, static_cast<double>(x[i]));
        ASSERT_EQ(k, std::floor(k));
        if (std::abs(t) >= 0x1p52) {  // an integer
          ASSERT_EQ(k, t);
          continue;
        }
        ASSERT_LT(k - 1, t);
        ASSERT_LT(t, k + 1);
        if (is_to_nearest(fixed->rounding)) {
          ASSERT_LE(2 * k - 1, 2 * t);
          ASSERT_LE(2 * t, 2 * k + 1);
        }
      }
    }
  }
}

TYPED_TEST(EveryQuantizer, TakesSpansOfOneSizeThatAreOneOrApart) {
  std::vector<TypeParam> x(20), y(19);
  const auto q = make_quantizer("nearest,8,4");
  const std::span<const TypeParam> in(x);
  EXPECT_THROW(q->quantize(in, std::span<TypeParam>(y)), Error);
  EXPECT_THROW(q->quantize(in.first(10), std::span<TypeParam>(x).subspan(5, 10)), Error);
  EXPECT_NO_THROW(q->quantize(in, std::span<TypeParam>(x)));
  EXPECT_NO_THROW(q->quantize(in.first(10), std::span<TypeParam>(x).subspan(10, 10)));
  const auto clipped = make_quantizer("nearest,8,4,grad=clipped");
  EXPECT_THROW(clipped->gradient(in, in, std::span<const TypeParam>(y), std::span<TypeParam>(x)),
               Error);
}

// The share of values that go up is the distance; a fixed seed, so the bound of 4.5 standard
// deviations holds for good or never.
TEST(StochasticRounding, GoesUpAsOftenAsTheDistanceSays) {
  constexpr int kCount = 1 << 20;
  for (const char* spec :
       {"stochastic,8,0", "stochastic,8,0,random_bits=16", "stochastic,8,0,random_bits=24"}) {
    for (double distance : {0.0009765625, 0.125, 0.3, 0.5, 0.9375}) {
      for (int below : {-3, -1, 0, 5}) {
        const std::vector<float> x(kCount, static_cast<float>(below + distance));
        const double exact = x[0] - static_cast<double>(below);
        std::vector<float> y(kCount);
        make_quantizer(spec)->quantize(std::span<const float>(x), y, {.seed = 2026});
        double up = 0;
        for (float value : y) {
          ASSERT_TRUE(value == below || value == below + 1);
          up += value - below;
        }
        const double deviation = std::sqrt(kCount * exact * (1 - exact));
        EXPECT_LT(std::abs(up - kCount * exact), 4.5 * deviation + kCount * 0x1p-16)
            << spec << " " << x[0];
      }
    }
  }
}

TEST(StochasticRounding, DrawsNeighboursStepsStreamsAndSeedsApart) {
  constexpr int kCount = 1 << 18;
  const std::vector<float> x(kCount, 0.5f);
  const auto q = make_quantizer("stochastic,8,0");
  const auto draw = [&](Context context) {
    std::vector<float> y(kCount);
    q->quantize(std::span<const float>(x), y, context);
    return y;
  };
  const std::vector<float> base = draw({.seed = 1});
  // Of two independent draws half agree.
  const auto expect_independent = [&](const std::vector<float>& other, int lag) {
    int equal = 0;
    for (int i = lag; i < kCount; ++i) equal += base[i] == other[i - lag] ? 1 : 0;
    EXPECT_LT(std::abs(equal - (kCount - lag) / 2.0), 4.5 * std::sqrt(kCount) / 2) << lag;
  };
  for (int lag : {1, 2, 15, 16, 17, 63, 64, 65, 128, 1024}) expect_independent(base, lag);
  expect_independent(draw({.seed = 2}), 0);
  expect_independent(draw({.seed = (std::uint64_t{1} << 32) + 1}), 0);
  expect_independent(draw({.seed = 1, .stream = 1}), 0);
  expect_independent(draw({.seed = 1, .step = 1}), 0);
  EXPECT_EQ(draw({.seed = 1}), base);
}

#if defined(__x86_64__)
// Also the numbers of the format itself, which are made on the caller's thread.
TEST(Quantizer, SubnormalsSurviveACallerThatFlushesThem) {
  const std::vector<float> x = {0x1p-140f, -0x1p-140f, 0x1p-133f, 3 * 0x1p-149f, 0x1p-126f, 1};
  const std::vector<float> dy(x.size(), 0x1p-149f);
  struct Case {
    const char* spec;
    std::vector<float> y;
  };
  for (const Case& c : {Case{"binary,1e-40", {1e-40f, -1e-40f, 1e-40f, 1e-40f, 1e-40f, 1e-40f}},
                        Case{"ternary,1e-40,1e-41", {0, 0, 1e-40f, 0, 1e-40f, 1e-40f}},
                        Case{"sparse,1e-41", {0, 0, 0x1p-133f, 0, 0x1p-126f, 1}},
                        Case{"logarithmic,max=-133,min=-140",
                             {0x1p-140f, -0x1p-140f, 0x1p-133f, 0, 0x1p-133f, 0x1p-133f}}}) {
    const auto q = make_quantizer(std::string(c.spec) + ",grad=clipped");
    std::vector<float> y(x.size()), dx(x.size());
    {
      const HostileFloatEnvironment hostile;
      q->quantize(std::span<const float>(x), y);
      q->gradient(x, y, dy, std::span<float>(dx));
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_TRUE(same_bits(y[i], c.y[i])) << c.spec << ", x = " << hex(x[i]) << ": " << hex(y[i]);
    }
    // 2^-140 is about 7e-43: within the ends of them all.
    EXPECT_TRUE(same_bits(dx[0], 0x1p-149f)) << c.spec;
  }
}
#endif

}  // namespace
}  // namespace tensorquant
