// Scaled formats: every granularity and rule equals its reference, bit for bit, on every
// instruction set, whatever the axes; and the laws that hold inside a group.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/kernels.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/kernels/stores.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

const std::vector<std::string>& rules() {
  static const std::vector<std::string> rules = {
      "int,8,scale=max",
      "int,4,overflow=symmetric,scale=max",
      "int,8,scale=range",
      "int,6,unsigned,scale=range",
      "int,8,rounding=stochastic,scale=max",
      "int,8,random_bits=8,rounding=stochastic,scale=range",
      "int,8,scale=ceil",
      "even,8,6,overflow=symmetric,scale=floor",
      "nearest,8,20,scale=round",
      "even,6,2,overflow=wrap,scale=max",
      "e4m3fn,scale=max",
      "e4m3fn,scale=floor",
      "e5m2,overflow=infinity,scale=round",
      "e2m1,scale=ceil",
      "e2m1,rounding=stochastic,scale=floor",
      "logarithmic,max=3,min=-4,scale=max",
      "binary,scale=mean",
      "ternary,scale=mean",
      "binary,scale=floor",
      "ternary,1,0.5,scale=max",
      "posit,8,scale=max",
      "nf4,scale=max",
      "apot,5,scale=max",
      "logarithmic,fraction=2,max=3,min=-4,scale=max",
      "p3109,8,4,scale=floor",
      "float,8,3,scale=max,special=fnuz",
      "even,6,2,overflow=zero,scale=max",
      "e4m3fn,overflow=nan,scale=floor",
  };
  return rules;
}

struct Shape {
  Layout layout;
  std::size_t size() const {
    return layout.reduction.outer * layout.reduction.length * layout.reduction.inner;
  }
};

// Lines one behind the other and side by side, ragged and not, short ones, ones longer than a
// cache, and many and few of them.
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> shapes = {
      {{.channel = {1, 5, 70}, .reduction = {5, 70, 1}}},
      {{.channel = {35, 10, 1}, .reduction = {1, 35, 10}}},
      {{.channel = {1, 4, 27}, .reduction = {4, 3, 9}}},
      {{.channel = {3, 64, 50}, .reduction = {3, 64, 50}}},
      {{.channel = {1, 2, 9000}, .reduction = {2, 9000, 1}}},
      {{.channel = {150, 96, 1}, .reduction = {150, 96, 1}}},
      {{.channel = {2, 33, 300}, .reduction = {2, 33, 300}}},
      {{.channel = {20000, 2, 1}, .reduction = {1, 40, 1000}}},
      {{.channel = {1, 1, 333}, .reduction = {333, 1, 1}}},
  };
  return shapes;
}

// Groups of all kinds: of zeros, tiny, huge, with an infinity or a NaN, with ends at and around
// powers of two.
template <class T>
std::vector<T> grouped_values(std::size_t count, std::uint64_t seed) {
  std::vector<T> x = random_values<T>(count, seed);
  const std::vector<T> wild = random_bit_patterns<T>(count, seed + 1);
  using Limits = std::numeric_limits<T>;
  for (std::size_t i = 0; i < count; ++i) {
    switch (i / 97 % 11) {
      case 1:
        x[i] = i % 2 == 0 ? T{0} : -T{0};
        break;
      case 3:
        x[i] *= Limits::min();
        break;
      case 5:
        x[i] *= Limits::max() / 64;
        break;
      case 7:
        if (std::isfinite(wild[i])) x[i] = wild[i];
        break;
      case 9:
        x[i] = std::copysign(std::exp2(std::round(std::abs(x[i]))), x[i]);
        break;
      default:
        break;
    }
  }
  if (count > 300) {
    x[205] = Limits::infinity();
    x[299] = from_bits<T>(to_bits(-Limits::quiet_NaN()) ^ 5);
  }
  return x;
}

// Each rule meets a third of the shapes, and each shape a third of the rules.
bool meet(const std::string& rule, const Shape& shape) {
  const auto number = [](const auto& list, const auto& item) { return &item - list.data(); };
  return (number(rules(), rule) + number(shapes(), shape)) % 3 == 0;
}

std::vector<std::string> granularities(const std::string& rule) {
  std::vector<std::string> specs;
  for (const char* granularity :
       {"per=tensor", "per=channel", "per=row", "block=32", "block=7", "block=1", "block=60000"}) {
    specs.push_back(rule + "," + granularity);
  }
  return specs;
}

template <class T>
std::vector<T> reference(const std::string& spec, const std::vector<T>& x, const Context& context) {
  std::vector<T> y(x.size());
  quantize_reference(std::get<Scaled>(*make_quantizer(spec)->format()), std::span<const T>(x),
                     std::span<T>(y), context);
  return y;
}

template <class T>
void expect_equal(const std::vector<T>& x, const std::vector<T>& y, const std::vector<T>& wanted) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_TRUE(same_bits(y[i], wanted[i])) << "element " << i << ", x = " << hex(x[i]);
  }
}

template <class T>
class ScaledFormat : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(ScaledFormat, Types);

TYPED_TEST(ScaledFormat, EqualsItsReferenceOnEveryTargetForEveryGranularity) {
  using T = TypeParam;
  for (const Shape& shape : shapes()) {
    const std::vector<T> x = grouped_values<T>(shape.size(), shape.size());
    const Context context = {.seed = 5, .stream = 6, .step = 7, .layout = shape.layout};
    for (const std::string& rule : rules()) {
      if (!meet(rule, shape)) continue;
      for (const std::string& spec : granularities(rule)) {
        SCOPED_TRACE(spec + ", " + std::to_string(shape.size()) + " elements");
        const auto quantizer = make_quantizer(spec);
        const std::vector<T> wanted = reference(spec, x, context);
        for (const SimdTarget& target : simd_targets()) {
          SCOPED_TRACE(target.name);
          const ScopedSimdTarget scoped(target);
          std::vector<T> y(x.size());
          quantizer->quantize(std::span<const T>(x), y, context);
          expect_equal(x, y, wanted);
          if (this->HasFatalFailure()) return;
        }
      }
    }
  }
}

TYPED_TEST(ScaledFormat, SplitsIntoElementsAndScalesAsItsReference) {
  using T = TypeParam;
  for (const Shape& shape : shapes()) {
    const std::vector<T> x = grouped_values<T>(shape.size(), shape.size() + 1);
    const Context context = {.seed = 5, .stream = 6, .step = 7, .layout = shape.layout};
    for (const std::string& rule : rules()) {
      if (!meet(rule, shape)) continue;
      for (const std::string& spec : granularities(rule)) {
        SCOPED_TRACE(spec + ", " + std::to_string(shape.size()) + " elements");
        const auto format = std::get<Scaled>(*make_quantizer(spec)->format());
        const auto wanted = split_reference(format, std::span<const T>(x), context);
        std::vector<T> q = x;
        const std::vector<T> scales = split(format, std::span<const T>(q), std::span(q), context);
        expect_equal(x, q, wanted.q);
        ASSERT_EQ(scales.size(), wanted.scales.size());
        for (std::size_t group = 0; group < scales.size(); ++group) {
          const bool is_nan = std::isnan(scales[group]) && std::isnan(wanted.scales[group]);
          ASSERT_TRUE(is_nan || scales[group] == wanted.scales[group]) << group;
        }
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(ScaledFormat, GivesTheSameBitsInPlaceStreamedAndForEveryNumberOfThreads) {
  using T = TypeParam;
  for (const Shape& shape : shapes()) {
    const std::vector<T> x = grouped_values<T>(shape.size(), 3);
    const Context context = {.seed = 5, .layout = shape.layout};
    for (const std::string& rule : rules()) {
      if (!meet(rule, shape)) continue;
      for (const std::string& spec : granularities(rule)) {
        SCOPED_TRACE(spec + ", " + std::to_string(shape.size()) + " elements");
        const auto quantizer = make_quantizer(spec);
        std::vector<T> wanted(x.size());
        set_num_threads(1);
        quantizer->quantize(std::span<const T>(x), wanted, context);
        for (const int threads : {2, 5}) {
          set_num_threads(threads);
          std::vector<T> y = x;
          quantizer->quantize(std::span<const T>(y), y, context);
          expect_equal(x, y, wanted);
        }
        set_num_threads(0);
        const ScopedStores streaming(Stores::streaming);
        std::vector<T> y(x.size() + 1, T{12345});  // aligned otherwise
        quantizer->quantize(std::span<const T>(x), std::span(y).subspan(1), context);
        ASSERT_EQ(y[0], T{12345});
        y.erase(y.begin());
        expect_equal(x, y, wanted);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

// Groups alike, so that a loop that is not for those near the ends of the type is left just there.
TYPED_TEST(ScaledFormat, EqualsItsReferenceForEveryPowerOfTwo) {
  using T = TypeParam;
  constexpr std::size_t kSize = 512;
  const std::vector<T> values = random_values<T>(kSize, 9);
  const Layout runs = {.channel = {1, 16, 32}, .reduction = {16, 32, 1}};
  const Layout columns = {.channel = {8, 64, 1}, .reduction = {1, 8, 64}};
  for (const char* element :
       {"e4m3fn", "e2m1", "e5m2,overflow=saturate", "bf16,overflow=saturate",
        "float,8,23,overflow=saturate", "float,7,23,special=fn", "float,8,10,bias=140", "even,8,6",
        "even,2,64", "even,64,-64", "even,8,6,unsigned", "even,24,12,overflow=symmetric"}) {
    for (const char* rule : {"floor", "ceil", "round"}) {
      const std::string spec = std::string(element) + ",block=32,scale=" + rule;
      const auto quantizer = make_quantizer(spec);
      for (int exponent = -150; exponent < 128; ++exponent) {
        SCOPED_TRACE(spec + ", 2^" + std::to_string(exponent));
        std::vector<T> x(kSize);
        for (std::size_t i = 0; i < kSize; ++i) x[i] = std::ldexp(values[i], exponent);
        for (const Layout& layout : {runs, columns}) {
          const Context context = {.layout = layout};
          const std::vector<T> wanted = reference(spec, x, context);
          for (const SimdTarget& target : simd_targets()) {
            SCOPED_TRACE(target.name);
            const ScopedSimdTarget scoped(target);
            std::vector<T> y(kSize);
            quantizer->quantize(std::span<const T>(x), y, context);
            expect_equal(x, y, wanted);
            if (this->HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TYPED_TEST(ScaledFormat, ClipsGradientsAsItsReferenceDoes) {
  using T = TypeParam;
  for (const Shape& shape : shapes()) {
    const std::vector<T> x = grouped_values<T>(shape.size(), 4);
    const std::vector<T> dy = random_values<T>(x.size(), 6);
    const Context context = {.layout = shape.layout};
    for (const std::string& rule : rules()) {
      if (!meet(rule, shape)) continue;
      for (const std::string& spec : granularities(rule + ",grad=clipped")) {
        SCOPED_TRACE(spec);
        const auto quantizer = make_quantizer(spec);
        std::vector<T> wanted(x.size()), dx = dy;
        clipped_gradient_reference(std::get<Scaled>(*quantizer->format()), std::span<const T>(x),
                                   std::span<const T>(dy), std::span<T>(wanted), context);
        quantizer->gradient(std::span<const T>(x), std::span<const T>(x), std::span<const T>(dx),
                            std::span<T>(dx), context);
        expect_equal(x, dx, wanted);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(ScaledFormat, FindsTheOverflowsOfItsReference) {
  using T = TypeParam;
  for (const Shape& shape : shapes()) {
    const std::vector<T> x = grouped_values<T>(shape.size(), 4);
    const Context context = {.seed = 5, .stream = 2, .step = 1, .layout = shape.layout};
    for (const std::string& rule : rules()) {
      if (!meet(rule, shape)) continue;
      for (const std::string& spec : granularities(rule)) {
        SCOPED_TRACE(spec);
        const auto quantizer = make_quantizer(spec);
        const auto& format = std::get<Scaled>(*quantizer->format());
        const auto over = std::make_unique<bool[]>(x.size());
        const auto wanted = std::make_unique<bool[]>(x.size());
        const std::span<const T> in(x);
        overflows_reference(format, in, std::span(wanted.get(), x.size()), context);
        find_overflows(format, in, std::span(over.get(), x.size()), context);
        for (std::size_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(over[i], wanted[i]) << i << " " << x[i];
      }
    }
  }
}

// In exact arithmetic: s = 2^-3, so that 1.1 / s = 8.8 and 100 / s = 800.
TEST(Scaled, IsTheElementFormatTimesTheScale) {
  const std::vector<float> x = {1.1F, -1.0625F, 100, -100, 0, -0.0F};
  std::vector<float> y(x.size());
  make_quantizer("int,8,scale=0.125")->quantize(std::span<const float>(x), y);
  EXPECT_EQ(y, (std::vector<float>{1.125F, -1, 15.875F, -16, 0, 0}));
  EXPECT_FALSE(std::signbit(y[5]));
}

// The zero point is added to what is rounded: 2.5 becomes 2, and 2 + 3 = 5.
TEST(Scaled, RoundsBeforeItAddsTheZeroPoint) {
  const std::vector<float> x = {2.5F, 200, -200, 3.5F};
  std::vector<float> y(x.size());
  make_quantizer("int,8,scale=1,zero=3")->quantize(std::span<const float>(x), y);
  EXPECT_EQ(y, (std::vector<float>{2, 124, -131, 4}));
}

TYPED_TEST(ScaledFormat, IsMonotoneInsideAGroup) {
  using T = TypeParam;
  std::vector<T> x = random_values<T>(3000, 8);
  std::sort(x.begin(), x.end());
  for (const std::string& rule : rules()) {
    if (rule.find("wrap") != std::string::npos || rule.find("stochastic") != std::string::npos) {
      continue;
    }
    std::vector<T> y(x.size());
    make_quantizer(rule + ",per=tensor")->quantize(std::span<const T>(x), y);
    EXPECT_TRUE(std::is_sorted(y.begin(), y.end())) << rule;
  }
}

TYPED_TEST(ScaledFormat, QuantizedTwiceByPowersOfTwoChangesNothing) {
  using T = TypeParam;
  const std::vector<T> x = random_values<T>(5000, 9);
  for (const char* spec : {"mxfp8_e4m3", "mxfp6_e2m3", "mxfp4", "mxint8", "bfp,4",
                           "int,8,scale=ceil", "mxfp4,scale=ceil"}) {
    std::vector<T> once(x.size()), twice(x.size());
    const auto q = make_quantizer(spec);
    q->quantize(std::span<const T>(x), once);
    q->quantize(std::span<const T>(once), twice);
    expect_equal(x, twice, once);
  }
}

TEST(Scaled, WithScaleCeilNothingSaturates) {
  std::vector<float> x(64);
  for (int e = -100; e < 100; ++e) {
    for (const float amax : {std::ldexp(1.75F, e), std::ldexp(std::nextafter(1.75F, 2.0F), e)}) {
      x[5] = -amax;
      std::vector<float> y(x.size());
      make_quantizer("e4m3fn,scale=ceil")->quantize(std::span<const float>(x), y);
      EXPECT_LE(std::abs(y[5] - x[5]), amax / 16) << hex(amax);  // to nearest: half a step
      make_quantizer("e4m3fn,scale=floor")->quantize(std::span<const float>(x), y);
      EXPECT_EQ(y[5], -std::ldexp(1.75F, e)) << hex(amax);  // 448 = 1.75 * 2^8 is the largest
    }
  }
}

std::string error_of(const std::string& spec, std::size_t size, const Context& context) {
  std::vector<float> x(size);
  try {
    make_quantizer(spec)->quantize(std::span<const float>(x), x, context);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Where the largest value is below 1, an amax near the type's end asks for a scale beyond it.
TYPED_TEST(ScaledFormat, HasTheLargestNumberForAScaleBeyondTheType) {
  using T = TypeParam;
  constexpr T kLargest = std::numeric_limits<T>::max();
  struct Case {
    const char* spec;
    T end;  // what the largest number becomes, with a scale that is as large
  };
  for (const Case& c : {Case{"even,8,10,scale=max", kLargest * T(127.0 / 1024)},
                        {"binary,0.25,scale=max", kLargest / 4},
                        {"binary,0.25,block=4,scale=e4m3", kLargest / 4}}) {
    const std::vector<T> x = {kLargest, kLargest / 16, -kLargest / 32, 0};
    std::vector<T> wanted(4), y(4);
    const auto quantizer = make_quantizer(c.spec);
    const Scaled& format = std::get<Scaled>(*quantizer->format());
    quantize_reference(format, std::span<const T>(x), std::span<T>(wanted));
    EXPECT_SAME_BITS(wanted[0], c.end) << c.spec;
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      quantize(format, std::span<const T>(x), std::span<T>(y));
      for (std::size_t i = 0; i < y.size(); ++i) {
        EXPECT_SAME_BITS(y[i], wanted[i]) << c.spec << " on " << target.name;
        EXPECT_TRUE(std::isfinite(y[i])) << c.spec << " on " << target.name;
      }
    }
  }
}

TEST(Scaled, SaysWhichLayoutItLacks) {
  EXPECT_EQ(error_of("int,8,per=channel,scale=max", 6, {}),
            "quantizer 'int,8,per=channel,scale=max': per=channel needs to know which axis is the "
            "channels': give a channel axis, or a layout with the context");
  const Layout layout = {.channel = {1, 2, 3}, .reduction = {2, 3, 1}};
  EXPECT_EQ(error_of("int,8,per=channel,scale=max", 6, {.layout = layout}), "");
  EXPECT_EQ(error_of("int,8,per=channel,scale=max", 7, {.layout = layout}),
            "quantizer 'int,8,per=channel,scale=max': a layout whose channel axis has 1 x 2 x 3 "
            "elements does not fit a tensor of 7");
  EXPECT_EQ(error_of("mxfp4", 7, {.layout = layout}),
            "quantizer 'mxfp4': a layout whose reduction axis has 2 x 3 x 1 elements does not fit "
            "a tensor of 7");
  const Layout huge = {.channel = {std::size_t{1} << 63, 2, 1}, .reduction = {0, 0, 0}};
  EXPECT_NE(error_of("int,8,per=channel,scale=max", 6, {.layout = huge}), "");
  EXPECT_NE(error_of("mxfp4", 6, {.layout = huge}), "");
  EXPECT_EQ(error_of("mxfp4", 0, {.layout = huge}), "");
}

}  // namespace
}  // namespace tensorquant
