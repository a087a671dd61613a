#include "tensorquant/quantizers/clipped_gradient.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/half_precision.h"

namespace tensorquant {
namespace {

std::vector<std::string> clipped_specs() {
  std::vector<std::string> specs;
  for (const FormatEntry& entry : format_list()) {
    for (const std::string_view example : entry.examples) {
      if (make_quantizer(example)->is_straight_through()) {
        specs.push_back(std::string(example) + ",grad=clipped");
      }
    }
  }
  return specs;
}

// The gradient is dy = 1 exactly where it is marked.
template <class T>
void expect_marks_where_the_gradient_passes(const std::string& spec, const std::vector<T>& x) {
  const auto quantizer = make_quantizer(spec);
  ASSERT_TRUE(clips_gradient(*quantizer)) << spec;
  std::vector<T> dx(x.size());
  const std::span<const T> in(x);
  bool (*passes)(T) = nullptr;
  if constexpr (std::is_floating_point_v<T>) {
    const std::vector<T> ones(x.size(), T{1});
    quantizer->gradient(in, in, std::span<const T>(ones), std::span<T>(dx));
    passes = [](T value) { return value == T{1}; };
  } else {
    const std::vector<T> ones(x.size(), T{1});  // the least subnormal
    gradient(*quantizer, in, in, std::span<const T>(ones), std::span<T>(dx));
    passes = [](T value) { return value.bits == 1; };
  }
  const std::unique_ptr<bool[]> inside(new bool[x.size()]);
  find_inside<T>(*quantizer, in, std::span<bool>(inside.get(), x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(inside[i], passes(dx[i])) << spec << " " << i;
  }
}

template <class T>
std::vector<T> numbers() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x = {0,
                      T(-0.0),
                      Limits::denorm_min(),
                      Limits::min(),
                      Limits::max(),
                      Limits::lowest(),
                      Limits::infinity(),
                      -Limits::infinity(),
                      Limits::quiet_NaN()};
  // Halves of integers around the powers of two, where formats end; more than a block.
  for (int i = -40000; i <= 40000; i += 7) x.push_back(static_cast<T>(i) / 16);
  return x;
}

TEST(ClippedGradient, PassesExactlyWhereItIsMarked) {
  std::vector<Float16> half;
  std::vector<BFloat16> brain;
  for (int i = 0; i < 65536; ++i) {
    half.push_back({static_cast<std::uint16_t>(i)});
    brain.push_back({static_cast<std::uint16_t>(i)});
  }
  for (const std::string& spec : clipped_specs()) {
    expect_marks_where_the_gradient_passes(spec, numbers<float>());
    expect_marks_where_the_gradient_passes(spec, numbers<double>());
    expect_marks_where_the_gradient_passes(spec, half);
    expect_marks_where_the_gradient_passes(spec, brain);
  }
}

// Fixed point with 8 bits, 4 of them a fraction, ends at -8 and 127/16 = 7.9375.
TEST(ClippedGradient, EndsAreInsideAndNaNIsNot) {
  const std::vector<float> x = {-8.0625F, -8, 0,
                                7.9375F,  8,  std::numeric_limits<float>::quiet_NaN()};
  bool inside[6];
  find_inside<float>(*make_quantizer("nearest,8,4,grad=clipped"), x, inside);
  EXPECT_EQ(std::vector<bool>(inside, inside + 6),
            (std::vector<bool>{false, true, true, true, false, false}));
}

TEST(ClippedGradient, IsThatOfNoOtherQuantizer) {
  struct Floor : Quantizer {
    using Quantizer::quantize;
    void quantize(std::span<const float>, std::span<float>, const Context&) const override {}
    std::string spec() const override { return "floor"; }
  };
  EXPECT_FALSE(clips_gradient(Floor()));
  EXPECT_FALSE(clips_gradient(*make_quantizer("nearest,8,4")));
}

TEST(ClippedGradient, SizesThatDifferAreRefused) {
  const std::vector<float> x(3);
  bool inside[2];
  EXPECT_THROW(find_inside<float>(*make_quantizer("nearest,8,4,grad=clipped"), x, inside), Error);
}

}  // namespace
}  // namespace tensorquant
