#include "tensorquant/arithmetic/layers/average_pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tensorquant/kernels/simd_target.h"
#include "tests/difference.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

Arithmetic arithmetic_of(const char* product, const char* accumulator, const char* accumulate,
                         const char* outer, std::int64_t every = 0) {
  return make_arithmetic(*make_quantizer(product), *make_quantizer(accumulator),
                         make_accumulate(accumulate), OuterSum{make_quantizer(outer), every});
}

AveragePoolShape shape_of(std::int64_t planes, std::int64_t size, std::int64_t kernel,
                          std::int64_t stride, std::int64_t padding = 0) {
  return {.planes = planes,
          .input = {size, size},
          .kernel = {kernel, kernel},
          .stride = {stride, stride},
          .padding_begin = {padding, padding},
          .padding_end = {padding, padding},
          .divisor = {}};
}

std::size_t outputs_of(const AveragePoolShape& shape) {
  std::int64_t count = shape.planes;
  for (const std::int64_t size : shape.output()) count *= size;
  return static_cast<std::size_t>(count);
}

// One scale for all.
ScaledOperand<float> scaled_by(const std::vector<float>& scale, const std::vector<float>& q) {
  return {.q = q, .scales = scale, .grouping = {}};
}

// By integers: S * sum has no more than 24 + 14 bits, so double rounds once; its quotient in double
// is as good as the exact one for float32.
TEST(AveragePool, OfEightBitIntegersIsThatOfTheirSums) {
  const Arithmetic arithmetic =
      arithmetic_of("none", "even,32,0,overflow=wrap", "step", "float,8,23");
  const std::vector<float> scale = {0.0123f};
  std::mt19937 generator(1);
  std::uniform_int_distribution<int> integer(-128, 127);
  for (const AveragePoolShape& shape :
       {shape_of(300, 8, 8, 8), shape_of(5, 7, 3, 2), shape_of(3, 6, 2, 2), shape_of(1, 3, 3, 1)}) {
    const std::int64_t size = shape.input[0], kernel = shape.kernel[0], out = shape.output()[0];
    std::vector<int> q(static_cast<std::size_t>(shape.planes * size * size));
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = i < 64 ? -128 : integer(generator);
    const std::vector<float> x(q.begin(), q.end());
    std::vector<float> wanted;
    for (std::int64_t i = 0; i < shape.planes * out * out; ++i) {
      const std::int64_t row = i / out % out * shape.stride[0], column = i % out * shape.stride[0];
      std::int64_t sum = 0;
      for (std::int64_t k = 0; k < kernel * kernel; ++k) {
        const std::int64_t place = (i / (out * out) * size + row + k / kernel) * size + column;
        sum += q[static_cast<std::size_t>(place + k % kernel)];
      }
      const auto t = static_cast<float>(static_cast<double>(scale[0]) * static_cast<double>(sum));
      wanted.push_back(
          static_cast<float>(static_cast<double>(t) / static_cast<double>(kernel * kernel)));
    }
    const ScaledOperand<float> scaled = scaled_by(scale, x);
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      std::vector<float> y(wanted.size());
      average_pool<float>(arithmetic, {}, average_pool_of(shape), x.data(), y.data(), nullptr,
                          nullptr, &scaled);
      EXPECT_EQ(difference(y, wanted), "") << target.name << ", " << size << ", " << kernel;
    }
  }
}

// Numbers whose order and signs matter, special ones among them.
std::vector<float> numbers(std::size_t count, bool are_finite) {
  std::mt19937 generator(2);
  std::uniform_int_distribution<int> integer(-200, 200), exponent(-12, 3);
  std::vector<float> x(count);
  for (float& value : x) {
    value = std::ldexp(static_cast<float>(integer(generator)), exponent(generator));
  }
  for (std::size_t i = 0; i < count; i += 5) x[i] = i % 2 == 0 ? -0.0f : 0.0f;
  if (are_finite) return x;
  const float infinity = std::numeric_limits<float>::infinity();
  x[1] = infinity;
  x[count / 2] = std::numeric_limits<float>::quiet_NaN();
  x[count - 2] = -infinity;
  return x;
}

// With a report every sum is that of the definition, one output after the other.
TEST(AveragePool, IsTheDefinitionsWhereItIsFast) {
  const std::vector<float> scales[] = {{1}, {0.37f}, {0x1p-140f}, {0x1p120f}};
  const Arithmetic all[] = {
      arithmetic_of("none", "even,32,0,overflow=wrap", "step", "float,8,23"),
      arithmetic_of("none", "even,10,2,overflow=wrap", "step", "float,8,23", 4),
      arithmetic_of("nearest,12,6", "even,9,3", "step", "none"),
      arithmetic_of("fp16", "fp16", "fused", "float,8,23", 5),
      arithmetic_of("down,16,8", "float,8,13,rounding=zero", "align:4:13", "none"),
      arithmetic_of("none", "none", "once", "float,8,23,overflow=saturate"),
      arithmetic_of("float,4,3", "nearest,24,12", "chunk:3", "float,8,23"),
      arithmetic_of("posit,16", "posit,16", "once", "none", 3),
      arithmetic_of("stochastic,12,6", "even,24,8", "step", "float,8,23"),
      arithmetic_of("none", "stochastic,24,4", "step", "none"),
      arithmetic_of("none", "even,24,8", "step", "bf16"),
      arithmetic_of("none", "even,24,8", "step", "stochastic,24,8")};
  for (const AveragePoolShape& shape :
       {shape_of(40, 4, 4, 4), shape_of(3, 7, 3, 2), shape_of(3, 5, 3, 2, 1)}) {
    for (const bool are_finite : {true, false}) {
      const std::vector<float> x = numbers(
          static_cast<std::size_t>(shape.planes * shape.input[0] * shape.input[1]), are_finite);
      for (const auto& scale : scales) {
        const ScaledOperand<float> scaled = scaled_by(scale, x);
        for (std::size_t i = 0; i < std::size(all); ++i) {
          std::vector<float> y(outputs_of(shape)), wanted(y.size());
          RangeReport report;
          const AveragePool pool = average_pool_of(shape);
          const ScaledOperand<float>* const operand = scale[0] == 1 ? nullptr : &scaled;
          average_pool<float>(all[i], {}, pool, x.data(), wanted.data(), &report, nullptr, operand);
          average_pool<float>(all[i], {}, pool, x.data(), y.data(), nullptr, nullptr, operand);
          EXPECT_EQ(difference(y, wanted), "") << i << ", " << scale[0] << ", " << shape.input[0];
        }
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
