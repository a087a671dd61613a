// Every kernel equals its reference, bit for bit: all strings of the one list, on every instruction
// set.

#include "tensorquant/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/base/parallel.h"
#include "tensorquant/formats/format.h"
#include "tensorquant/kernels/part.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/kernels/stores.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/floats.h"
#include "tests/hostile_float_environment.h"

namespace tensorquant {
namespace {

struct NamedFormat {
  std::string spec;
  Format format;
};

std::vector<NamedFormat> all_formats() {
  std::vector<NamedFormat> formats;
  for (const FormatEntry& entry : format_list()) {
    for (std::string_view spec : entry.examples) {
      formats.push_back({std::string(spec), *make_quantizer(spec)->format()});
    }
  }
  return formats;
}

template <class T>
std::vector<T> reference(const Format& format, std::span<const T> in, const Context& context) {
  std::vector<T> out(in.size());
  std::visit([&](const auto& f) { quantize_reference(f, in, std::span<T>(out), context); }, format);
  return out;
}

template <class T>
void run(const Format& format, std::span<const T> in, std::span<T> out, const Context& context) {
  std::visit([&](const auto& f) { quantize(f, in, out, context); }, format);
}

// What the kernel of the clipped gradient asks for.
template <class T, class F>
auto clips_by(const F& format) {
  if constexpr (std::is_same_v<F, Scaled>) {
    return format;
  } else {
    return bounds<T>(format);
  }
}

template <class T>
void expect_equal(std::span<const T> in, std::span<const T> out, std::span<const T> wanted) {
  ASSERT_EQ(out.size(), wanted.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_TRUE(same_bits(out[i], wanted[i])) << "element " << i << ", x = " << hex(in[i]);
  }
}

template <class T>
class EveryKernel : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(EveryKernel, Types);

TYPED_TEST(EveryKernel, EqualsItsReferenceOnEveryTarget) {
  using T = TypeParam;
  std::vector<T> in = interesting_floats<T>();
  for (const auto& more : {random_bit_patterns<T>(60000, 1), random_values<T>(60000, 2)}) {
    in.insert(in.end(), more.begin(), more.end());
  }
  const Context context{.seed = 0xfeedfacecafe, .stream = 3, .step = 11};
  for (const auto& [spec, format] : all_formats()) {
    const std::vector<T> wanted = reference<T>(format, in, context);
    for (const SimdTarget& target : simd_targets()) {
      SCOPED_TRACE(spec + " on " + target.name);
      const ScopedSimdTarget scoped(target);
      std::vector<T> out(in.size());
      run<T>(format, in, out, context);
      expect_equal<T>(in, out, wanted);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(EveryKernel, TakesEveryLengthAtEveryOffsetInPlaceAndOutOfPlace) {
  using T = TypeParam;
  constexpr std::size_t kLongest = 130;
  const std::vector<T> values = random_values<T>(kLongest + 16, 3);
  const T guard = T{12345};
  for (const auto& [spec, format] : all_formats()) {
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scoped(target);
      for (std::size_t size = 0; size <= kLongest; ++size) {
        const std::size_t offset = size % 16;
        SCOPED_TRACE(spec + " on " + target.name + ", size " + std::to_string(size));
        const std::span<const T> in = std::span(values).subspan(offset, size);
        const std::vector<T> wanted = reference<T>(format, in, {});
        // Nothing before or behind the output is touched.
        std::vector<T> out(size + 32, guard);
        const std::span<T> inner = std::span(out).subspan(16 - offset, size);
        run<T>(format, in, inner, {});
        expect_equal<T>(in, inner, wanted);
        ASSERT_EQ(std::count(out.begin(), out.end() - 16 - offset - size, guard), 16 - offset);
        ASSERT_EQ(std::count(out.end() - 16 - offset, out.end(), guard), 16 + offset);
        std::vector<T> place(in.begin(), in.end());
        run<T>(format, place, place, {});
        expect_equal<T>(in, place, wanted);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(EveryKernel, StreamsTheSameBitsToEveryAddress) {
  using T = TypeParam;
  constexpr std::size_t kSize = 2 * kPartBlock + 37;
  std::vector<T> in = random_values<T>(kSize, 8);
  in[1000] = std::numeric_limits<T>::infinity();
  in[1500] = std::numeric_limits<T>::quiet_NaN();
  const T guard = T{12345};
  const ScopedStores streaming(Stores::streaming);
  for (const auto& [spec, format] : all_formats()) {
    const std::vector<T> wanted = reference<T>(format, in, {});
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scoped(target);
      for (const std::size_t offset : {0, 1, 7}) {
        SCOPED_TRACE(spec + " on " + target.name + ", offset " + std::to_string(offset));
        alignas(64) static T memory[kSize + 16];
        const std::span<T> out = std::span(memory).subspan(offset, kSize);
        std::fill(std::begin(memory), std::end(memory), guard);
        run<T>(format, in, out, {});
        expect_equal<T>(in, out, wanted);
        ASSERT_EQ(std::count(memory, out.data(), guard), offset);
        ASSERT_EQ(std::count(out.data() + kSize, std::end(memory), guard), 16 - offset);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(EveryKernel, GivesTheSameBitsForEveryOffsetOfTheMemory) {
  using T = TypeParam;
  const std::vector<T> values = random_values<T>(70, 4);
  for (const auto& [spec, format] : all_formats()) {
    SCOPED_TRACE(spec);
    const std::vector<T> wanted = reference<T>(format, values, {});
    for (std::size_t offset = 0; offset < 16; ++offset) {
      std::vector<T> in(values.size() + offset);
      std::vector<T> out(values.size() + offset);
      std::copy(values.begin(), values.end(), in.begin() + static_cast<std::ptrdiff_t>(offset));
      run<T>(format, std::span<const T>(in).subspan(offset), std::span(out).subspan(offset), {});
      expect_equal<T>(values, std::span<const T>(out).subspan(offset), wanted);
    }
  }
}

TYPED_TEST(EveryKernel, GivesTheSameBitsForEveryNumberOfThreads) {
  using T = TypeParam;
  const std::vector<T> in = random_values<T>(200001, 5);
  const Context context{.seed = 77};
  for (const auto& [spec, format] : all_formats()) {
    SCOPED_TRACE(spec);
    std::vector<T> one(in.size());
    set_num_threads(1);
    run<T>(format, in, one, context);
    for (int threads : {2, 3, 7}) {
      set_num_threads(threads);
      std::vector<T> many(in.size());
      run<T>(format, in, many, context);
      expect_equal<T>(in, many, one);
    }
    set_num_threads(0);
    expect_equal<T>(in, one, reference<T>(format, in, context));
    if (this->HasFatalFailure()) return;
  }
}

#if defined(__x86_64__)
TYPED_TEST(EveryKernel, KeepsSubnormalsThoughItsCallerFlushesThem) {
  using T = TypeParam;
  std::vector<T> in;
  for (int i = 1; i < 5000; ++i) {
    in.push_back(static_cast<T>(i) * std::numeric_limits<T>::denorm_min());
    in.push_back(-in.back());
    in.push_back(std::ldexp(static_cast<T>(i), kMinExponent<T> + 10));
  }
  std::vector<NamedFormat> formats = all_formats();
  for (const char* spec : {"sparse,1e-40", "binary,1e-40", "ternary,1e-40,1e-42"}) {
    formats.push_back({spec, *make_quantizer(spec)->format()});
  }
  for (const auto& [spec, format] : formats) {
    const std::vector<T> wanted = reference<T>(format, in, {});
    for (const SimdTarget& target : simd_targets()) {
      SCOPED_TRACE(spec + " on " + target.name);
      const ScopedSimdTarget scoped(target);
      std::vector<T> out(in.size());
      {
        const HostileFloatEnvironment hostile;
        run<T>(format, in, out, {});
        ASSERT_EQ(_mm_getcsr() & 0xC040u, 0xC040u) << "the caller's settings are gone";
      }
      expect_equal<T>(in, out, wanted);
      if (this->HasFatalFailure()) return;
    }
  }
}
#endif

TYPED_TEST(EveryKernel, FindsTheOverflowsOfTheReference) {
  using T = TypeParam;
  const std::vector<T> x = interesting_floats<T>();
  const Context context = {.seed = 5, .stream = 2, .step = 1};
  for (const auto& [spec, format] : all_formats()) {
    SCOPED_TRACE(spec);
    const auto over = std::make_unique<bool[]>(x.size()),
               wanted = std::make_unique<bool[]>(x.size());
    std::visit(
        [&](const auto& f) {
          const std::span<const T> in(x);
          overflows_reference(f, in, std::span(wanted.get(), x.size()), context);
          find_overflows(f, in, std::span(over.get(), x.size()), context);
        },
        format);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(over[i], wanted[i]) << x[i];
  }
}

TYPED_TEST(EveryKernel, ClipsGradientsAsTheReferenceDoes) {
  using T = TypeParam;
  const std::vector<T> x = interesting_floats<T>();
  const std::vector<T> dy = random_values<T>(x.size(), 6);
  for (const auto& [spec, format] : all_formats()) {
    std::vector<T> wanted(x.size());
    std::visit(
        [&](const auto& f) {
          clipped_gradient_reference(f, std::span<const T>(x), std::span<const T>(dy),
                                     std::span<T>(wanted));
        },
        format);
    for (const SimdTarget& target : simd_targets()) {
      SCOPED_TRACE(spec + " on " + target.name);
      const ScopedSimdTarget scoped(target);
      std::vector<T> dx(x.size());
      std::visit(
          [&](const auto& f) {
            clip_gradient(clips_by<T>(f), std::span<const T>(x), std::span<const T>(dy),
                          std::span<T>(dx));
          },
          format);
      expect_equal<T>(x, dx, wanted);
      if (this->HasFatalFailure()) return;
    }
  }
}

template <class T>
void expect_reference_threshold(std::span<const T> x) {
  const double wanted = ternary_threshold_reference(x);
  EXPECT_TRUE(std::isfinite(wanted));
  for (const SimdTarget& target : simd_targets()) {
    const ScopedSimdTarget scoped(target);
    for (int threads : {1, 2, 5}) {
      set_num_threads(threads);
      EXPECT_SAME_BITS(ternary_threshold(x), wanted) << target.name << " " << x.size();
    }
  }
  set_num_threads(0);
}

TEST(TernaryThreshold, HasTheBitsOfTheDefinedOrderOfAdditions) {
  for (std::size_t size : {0, 1, 15, 16, 17, 1023, 1024, 1025, 5000, 100000}) {
    std::vector<float> x = random_values<float>(size, size);
    if (size > 20) x[7] = std::numeric_limits<float>::infinity();
    if (size > 2000) x[1999] = std::numeric_limits<float>::quiet_NaN();
    expect_reference_threshold<float>(x);
  }
}

// The sum leaves double's range in one lane, among the lanes, or among the blocks alone.
TEST(TernaryThreshold, IsFiniteWhereTheSumIsNot) {
  const double largest = std::numeric_limits<double>::max();
  for (const double magnitude : {largest, largest / 10, largest / 1000}) {
    for (const std::size_t size : {2, 17, 33, 1024, 1025, 3000, 5000, 100000}) {
      std::vector<double> x = random_values<double>(size, size);
      for (std::size_t i = 0; i < size; ++i) x[i] = x[i] < 0 ? -magnitude : magnitude;
      expect_reference_threshold<double>(x);
      if (size > 20) x[7] = -std::numeric_limits<double>::infinity();
      if (size > 2000) x[1999] = std::numeric_limits<double>::quiet_NaN();
      if (size > 2000) x[2001] = 5e-324;
      expect_reference_threshold<double>(x);
    }
  }
}

TEST(TernaryThreshold, CountsSubnormals) {
  for (const std::size_t size : {1, 3, 1024, 5000}) {
    std::vector<double> x(size);
    for (std::size_t i = 0; i < size; ++i) x[i] = 5e-324 * static_cast<double>(i % 7);
    expect_reference_threshold<double>(x);
  }
}

TEST(SimdTargets, AreSeveralOnX86) {
#if defined(__x86_64__)
  EXPECT_GE(simd_targets().size(), 2u);
#endif
  EXPECT_GE(simd_targets().size(), 1u);
}

}  // namespace
}  // namespace tensorquant
