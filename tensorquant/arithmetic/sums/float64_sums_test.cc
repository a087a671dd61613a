// Sums of float64 tensors against the reference for them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/arithmetic_of.h"
#include "tests/hostile_float_environment.h"
#include "tests/matrix_sums.h"

namespace tensorquant {
namespace {

constexpr std::int64_t kRows = 5, kTaps = 9, kColumns = 70;
const ArithmeticContext kContext{7, 1, 2, 3};

struct Doubles {
  std::vector<double> a, b, bias;
};

// Quantized numbers, as they are in a layer.
Doubles quantized(std::mt19937& generator, int fraction = 10) {
  std::normal_distribution<double> normal(0, 2);
  Doubles x{std::vector<double>(kRows * kTaps), std::vector<double>(kTaps * kColumns),
            std::vector<double>(kColumns)};
  for (std::vector<double>* part : {&x.a, &x.b, &x.bias}) {
    for (double& value : *part) {
      value = std::ldexp(std::round(std::ldexp(normal(generator), fraction)), -fraction);
    }
  }
  return x;
}

struct Results {
  std::vector<double> y;
  std::vector<char> outside;
  std::string kernel = "reference";
};

SumsOfProducts<double> sums_of(const Doubles& x, bool has_bias, double* y, bool* outside) {
  SumsOfProducts<double> sums = matrix_sums(kRows, kTaps, kColumns, x.a, x.b, y);
  sums.column_bias = has_bias ? x.bias.data() : nullptr;
  sums.outside = outside;
  return sums;
}

template <class Run>
Results results(const Doubles& x, bool has_bias, bool marks, const Run& run) {
  Results found;
  found.y.assign(kRows * kColumns, -1);
  const auto outside = std::make_unique<bool[]>(found.y.size());
  found.kernel = run(sums_of(x, has_bias, found.y.data(), marks ? outside.get() : nullptr));
  found.outside.assign(outside.get(), outside.get() + found.y.size());
  return found;
}

Results compute(const Arithmetic& arithmetic, const Doubles& x, bool has_bias, bool marks) {
  return results(x, has_bias, marks, [&](const SumsOfProducts<double>& sums) {
    return to_string(sums_of_products(arithmetic, kContext, sums).kernel);
  });
}
Results compute_reference(const Arithmetic& arithmetic, const Doubles& x, bool has_bias,
                          bool marks) {
  return results(x, has_bias, marks, [&](const SumsOfProducts<double>& sums) {
    sums_of_products_reference(arithmetic, kContext, sums);
    return std::string("reference");
  });
}

void expect_equal(const Results& found, const Results& wanted, const std::string& what) {
  for (std::size_t i = 0; i < wanted.y.size(); ++i) {
    ASSERT_EQ(to_bits(found.y[i]), to_bits(wanted.y[i]))
        << what << ", output " << i << ": " << found.y[i] << " for " << wanted.y[i];
    ASSERT_EQ(found.outside[i], wanted.outside[i]) << what << ", mark " << i;
  }
}

constexpr const char* kFormats[] = {"nearest,8,4",
                                    "even,16,8",
                                    "nearest,32,16",
                                    "zero,16,8",
                                    "even,24,4,unsigned",
                                    "even,12,4,overflow=wrap",
                                    "stochastic,16,8",
                                    "fp16",
                                    "float,4,3",
                                    "float,8,13",
                                    "float,5,10,rounding=stochastic",
                                    "logarithmic,min=-6,max=3",
                                    "logarithmic",
                                    "posit,16",
                                    "p3109,8,3"};

TEST(Float64Sums, EqualTheReferenceAndGoThroughKernels) {
  std::mt19937 generator(1);
  std::set<std::string> kernels;
  for (const std::string product : kFormats) {
    for (const std::string accumulator : kFormats) {
      for (const char* mode : {"step", "once", "chunk:4", "fused"}) {
        const Arithmetic arithmetic = arithmetic_of(product, accumulator, mode);
        const Doubles x = quantized(generator, generator() % 2 == 0 ? 10 : 2);
        const bool has_bias = generator() % 2 == 0, marks = generator() % 4 == 0;
        const Results wanted = compute_reference(arithmetic, x, has_bias, marks);
        const Results found = compute(arithmetic, x, has_bias, marks);
        kernels.insert(found.kernel);
        expect_equal(found, wanted, product + " / " + accumulator + " / " + mode);
        // Whose exponents are those of the tensor's type.
        const bool depends_on_type = product == "logarithmic" || accumulator == "logarithmic";
        if (depends_on_type) {
          EXPECT_EQ(found.kernel, "reference") << product << ", " << accumulator;
        }
      }
    }
  }
  for (const char* kernel : {"tiles", "integer", "fixed_int", "fixed_float", "fixed_double",
                             "minifloat", "stochastic"}) {
    EXPECT_TRUE(kernels.contains(kernel)) << kernel;
  }
}

// Exponents of small numbers of float64 go below those of float32's.
TEST(Float64Sums, OfAlignedProductsEqualTheReference) {
  std::mt19937 generator(4);
  std::set<std::string> kernels;
  for (const std::string accumulator : kFormats) {
    Doubles x = quantized(generator);
    for (std::size_t i = 0; i < x.a.size(); i += 3) x.a[i] *= 0x1p-138;
    const Arithmetic arithmetic = arithmetic_of("none", accumulator, "align:4:12");
    const Results found = compute(arithmetic, x, true, false);
    kernels.insert(found.kernel);
    expect_equal(found, compute_reference(arithmetic, x, true, false), accumulator + ", aligned");
  }
  EXPECT_TRUE(kernels.contains("align"));
}

TEST(Float64Sums, OfNumbersThatAreNoneOfFloat32AreTheReferences) {
  std::mt19937 generator(2);
  const Arithmetic arithmetic = arithmetic_of("even,16,8", "even,24,8", "step");
  const Doubles x = quantized(generator);
  EXPECT_NE(compute(arithmetic, x, true, false).kernel, "reference");
  for (const double value : {0.1, 1e300, 0x1p-150, 1 + 0x1p-24}) {
    for (std::vector<double> Doubles::*part : {&Doubles::a, &Doubles::b, &Doubles::bias}) {
      Doubles other = x;
      (other.*part)[3] = value;
      const Results found = compute(arithmetic, other, true, false);
      EXPECT_EQ(found.kernel, "reference") << value;
      expect_equal(found, compute_reference(arithmetic, other, true, false), "with another number");
    }
  }
}

TEST(Float64Sums, KeepSubnormalsInfinitiesAndNan) {
  std::mt19937 generator(3);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const char* accumulator : {"float,8,23", "fp16", "nearest,16,8"}) {
    const Arithmetic arithmetic = arithmetic_of("none", accumulator, "step");
    for (const double value : {0x1p-149, -0.0, kInfinity, -kInfinity, std::nan("7")}) {
      Doubles x = quantized(generator);
      x.a[3] = value;
      x.b[200] = -value;
      const Results wanted = compute_reference(arithmetic, x, true, false);
      Results found;
      {
        const HostileFloatEnvironment hostile;
        found = compute(arithmetic, x, true, false);
      }
      expect_equal(found, wanted, accumulator + std::string(" with ") + std::to_string(value));
    }
  }
}

}  // namespace
}  // namespace tensorquant
