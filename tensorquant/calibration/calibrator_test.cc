#include "tensorquant/calibration/calibrator.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/test_values.h"

namespace tensorquant {
namespace {

const std::shared_ptr<const Quantizer> int8 = make_quantizer("even,8,0");

Calibrator calibrator_of(const std::string& method) {
  return Calibrator(make_calibration_method(method));
}

void observe(Calibrator& calibrator, const std::vector<float>& values) {
  calibrator.observe(std::span<const float>(values));
}

// One that has seen the values as a batch, as often as its method wants.
Calibrator seen(const std::string& method, const std::vector<float>& values) {
  Calibrator calibrator = calibrator_of(method);
  observe(calibrator, values);
  calibrator.end_batch();
  if (calibrator.method().passes() == 2) {
    calibrator.begin_second_pass();
    observe(calibrator, values);
  }
  return calibrator;
}

template <class F>
std::string fault(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_range(const ValueRange& range, float low, float high) {
  EXPECT_SAME_BITS(range.low, double{low});
  EXPECT_SAME_BITS(range.high, double{high});
}

TEST(Calibrator, FindsTheSameOnAnyNumberOfThreads) {
  const std::vector<float> values = random_values<float>(1'500'000, 4);
  for (const std::string& method : calibration_method_names()) {
    const ScopedThreads one(1);
    const float amax = seen(method, values).amax(*int8, "x");
    const ScopedThreads two(2);
    EXPECT_SAME_BITS(seen(method, values).amax(*int8, "x"), amax) << method;
  }
}

TEST(Calibrator, LooksAtFiniteNumbersAlone) {
  std::vector<float> finite = random_values<float>(5'000, 4), values;
  for (const float x : finite) {
    values.insert(values.end(), {x, NAN, INFINITY, -INFINITY});
  }
  for (const std::string& method : calibration_method_names()) {
    const Calibrator calibrator = seen(method, values);
    EXPECT_SAME_BITS(calibrator.amax(*int8, "x"), seen(method, finite).amax(*int8, "x")) << method;
    EXPECT_EQ(calibrator.summary().finite, 5'000u);
    EXPECT_EQ(calibrator.summary().nan, 5'000u);
    EXPECT_EQ(calibrator.summary().infinite, 10'000u);
  }
}

TEST(Calibrator, IsDefinedForZerosAndForASingleNumber) {
  for (const std::string& method : calibration_method_names()) {
    EXPECT_SAME_BITS(seen(method, {0, -0.0f}).amax(*int8, "x"), 0.0f) << method;
    if (method == "mse") continue;  // a clipped number may be nearer to the grid
    for (const float x : {std::numeric_limits<float>::denorm_min(), -1e-40f, 0.1f, -3.0f,
                          std::numeric_limits<float>::max()}) {
      EXPECT_SAME_BITS(seen(method, {x}).amax(*int8, "x"), std::abs(x)) << method;
      if (calibrator_of(method).method().finds_range()) {
        expect_range(seen(method, {x}).range("x"), x, x);
      }
    }
  }
}

TEST(Calibrator, NamesWhatHadNoFiniteNumber) {
  for (const std::string& method : calibration_method_names()) {
    EXPECT_EQ(fault([&] { seen(method, {}).amax(*int8, "the output of conv1"); }),
              "the output of conv1 has no numbers: nothing to calibrate with");
    EXPECT_EQ(fault([&] {
                seen(method, {NAN, INFINITY}).amax(*int8, "the output of conv1");
              }),
              "the output of conv1 has no finite number, 1 NaN and 1 infinite ones: nothing to "
              "calibrate with");
    EXPECT_NE(fault([&] { seen(method, {}).range("x"); }), "");
  }
}

TEST(MinMax, HasTheExactEnds) {
  const Calibrator calibrator = seen("minmax", {3, -0.1f, 2, -5, NAN});
  expect_range(calibrator.range("x"), -5, 3);
  EXPECT_SAME_BITS(calibrator.amax(*int8, "x"), 5.0f);
}

TEST(Average, IsOfBatchesHoweverManyPiecesTheyComeIn) {
  Calibrator calibrator = calibrator_of("average=0.25");
  observe(calibrator, {-4});
  observe(calibrator, {8, 1});
  expect_range(calibrator.range("x"), -4, 8);  // a batch that has not ended counts
  calibrator.end_batch();
  expect_range(calibrator.range("x"), -4, 8);
  calibrator.end_batch();  // a batch in which the tensor was not computed
  observe(calibrator, {NAN, INFINITY});
  calibrator.end_batch();
  expect_range(calibrator.range("x"), -4, 8);
  observe(calibrator, {-8, 4});
  expect_range(calibrator.range("x"), -5, 7);
  calibrator.end_batch();
  expect_range(calibrator.range("x"), -5, 7);
  EXPECT_SAME_BITS(calibrator.amax(*int8, "x"), 7.0f);
  EXPECT_EQ(calibrator.summary().finite, 5u);
  EXPECT_SAME_BITS(calibrator.summary().lowest, -8.0f);
}

TEST(Average, IsRoundedToFloat32AtTheEndAlone) {
  Calibrator calibrator = calibrator_of("average=0.5");
  for (const float x : {1.0f, 1.0f + 0x1p-23f, 1.0f + 0x1p-23f}) {
    observe(calibrator, {x});
    calibrator.end_batch();
  }
  expect_range(calibrator.range("x"), 1.0f + 0x1p-23f, 1.0f + 0x1p-23f);  // of 1 + 0.75 * 2^-23
}

TEST(Entropy, WantsTheSameNumbersTwice) {
  Calibrator calibrator = calibrator_of("entropy");
  observe(calibrator, {1, 2, NAN});
  EXPECT_EQ(fault([&] { calibrator.amax(*int8, "x"); }),
            "x: calibration method 'entropy' wants all numbers a second time, 2 finite ones, and "
            "has seen 0");
  calibrator.begin_second_pass();
  observe(calibrator, {1});
  EXPECT_EQ(fault([&] { calibrator.amax(*int8, "x"); }),
            "x: calibration method 'entropy' wants all numbers a second time, 2 finite ones, and "
            "has seen 1");
  observe(calibrator, {2});
  EXPECT_SAME_BITS(calibrator.amax(*int8, "x"), 2.0f);
  EXPECT_EQ(fault([&] { calibrator.begin_second_pass(); }),
            "calibration method 'entropy' has 2 passes");
  EXPECT_EQ(calibrator.summary().finite, 2u);
}

TEST(OnePass, IsAllThatOtherMethodsHave) {
  Calibrator calibrator = calibrator_of("percentile=50");
  EXPECT_EQ(fault([&] { calibrator.begin_second_pass(); }),
            "calibration method 'percentile=50' has 1 pass");
}

TEST(ARange, IsNotWhatMseAndEntropyFind) {
  EXPECT_EQ(fault([] { seen("mse", {1}).range("the output of conv1"); }),
            "the output of conv1: calibration method 'mse' finds a largest magnitude, not the two "
            "ends of a range");
  EXPECT_NE(fault([] { seen("entropy", {1}).range("x"); }), "");
}

TEST(AnElement, IsRefusedBeforeAnyNumberIsSeen) {
  const auto check = [](const char* method, const char* spec) {
    return fault(
        [&] { check_element(make_calibration_method(method), *make_quantizer(spec), "x"); });
  };
  EXPECT_EQ(check("mse", "none"),
            "x: calibration method 'mse' wants a format with a largest value, which quantizer "
            "'none' has not");
  EXPECT_EQ(check("entropy", "fp16"),
            "x: calibration method 'entropy' has 2048 bins, too few for the values of quantizer "
            "'fp16'");
  for (const char* method : {"minmax", "average", "percentile"})
    EXPECT_EQ(check(method, "none"), "");
  for (const char* method : {"mse", "entropy"}) EXPECT_EQ(check(method, "e4m3fn"), "");
  EXPECT_EQ(fault([] { seen("mse", {1}).amax(*make_quantizer("none"), "x"); }),
            check("mse", "none"));
}

}  // namespace
}  // namespace tensorquant
