#include "tensorquant/calibration/calibrated.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

std::string calibrated_spec(const std::string& rule, const std::string& method,
                            const std::vector<float>& x) {
  Calibrator calibrator(make_calibration_method(method));
  const int passes = calibrator.method().passes();
  for (int pass = 0; pass < passes; ++pass) {
    if (pass > 0) calibrator.begin_second_pass();
    calibrator.observe(std::span<const float>(x));
  }
  const auto result = calibrated(*make_quantizer(rule), calibrator, "x");
  return result == nullptr ? "" : result->spec();
}

TEST(Calibrated, HasTheNumberThatTheRuleFinds) {
  const std::vector<float> x = {-1.5F, 0.25F, 6.0F};
  EXPECT_EQ(calibrated_spec("int,8,scale=ceil", "minmax", x), "int,8,scale=0.0625");
  EXPECT_EQ(calibrated_spec("int,8,scale=floor", "minmax", x), "int,8,scale=0.0625");
  EXPECT_EQ(calibrated_spec("int,3,scale=max", "minmax", x), "int,3,scale=2");  // 6 / 3
  EXPECT_EQ(calibrated_spec("int,4,unsigned,grad=clipped,scale=range", "minmax", x),
            "int,4,unsigned,grad=clipped,scale=0.5,zero=3");  // 7.5 / 15, and -1.5 / 0.5 = -3
  EXPECT_EQ(calibrated_spec("e5m2,scale=max", "minmax", {57344.0F}), "e5m2,scale=1");
  EXPECT_EQ(calibrated_spec("mxfp4,per=tensor", "minmax", x), "mxfp4,scale=1");
}

// The whole tensor at once, by rule, and with the number are the same.
TEST(Calibrated, QuantizesTheSameNumbersToTheSameBits) {
  std::vector<float> x;
  for (int i = 0; i < 1000; ++i) x.push_back(std::sin(static_cast<float>(i)) * 3.7F + 0.9F);
  for (const std::string rule :
       {"int,8,scale=max", "int,8,unsigned,scale=range", "int,4,scale=ceil", "e4m3fn,scale=max",
        "e2m1,scale=round", "int,8,scale=range"}) {
    std::vector<float> wanted(x.size()), y(x.size());
    make_quantizer(rule)->quantize(std::span<const float>(x), wanted);
    make_quantizer(calibrated_spec(rule, "minmax", x))->quantize(std::span<const float>(x), y);
    EXPECT_EQ(y, wanted) << rule;
  }
}

TEST(Calibrated, NumbersReadBackAsTheSameFloat) {
  for (int i = 1; i < 20000; ++i) {
    const float amax = 127 * (static_cast<float>(i) * 0x1.234568p-12F);
    const std::string spec = calibrated_spec("int,8,scale=max", "minmax", {amax});
    const float scale = static_cast<float>(std::stod(spec.substr(spec.find("scale=") + 6)));
    ASSERT_EQ(scale, amax / 127) << spec;
    ASSERT_LE(spec.size(), 28U) << spec;
  }
}

TEST(Calibrated, OfZerosThereIsNone) {
  EXPECT_EQ(calibrated_spec("int,8,scale=max", "minmax", {0, -0.0F}), "");
  EXPECT_EQ(calibrated_spec("int,8,scale=range", "percentile", {0, 0}), "");
}

TEST(Calibrated, IsForScalesOfAWholeTensorAlone) {
  for (const char* spec : {"int,8,scale=max", "int,8,scale=range", "mxfp4,per=tensor"}) {
    EXPECT_TRUE(can_be_calibrated(*make_quantizer(spec))) << spec;
  }
  for (const char* spec : {"nearest,8,4", "int,8,scale=0.5", "mxfp4", "int,8,per=row,scale=max",
                           "binary,scale=mean", "none"}) {
    EXPECT_FALSE(can_be_calibrated(*make_quantizer(spec))) << spec;
  }
}

std::string error_of(const std::string& method, const std::string& rule) {
  try {
    check_calibration(make_calibration_method(method), *make_quantizer(rule), "conv1");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CheckCalibration, SaysWhatAMethodCannotFind) {
  EXPECT_EQ(error_of("mse", "int,8,scale=range"),
            "conv1: 'int,8,scale=range' wants both ends of a range, and 'mse' finds a magnitude; "
            "take minmax, average or percentile");
  EXPECT_EQ(error_of("entropy", "int,8,scale=max"), "");
  EXPECT_EQ(error_of("mse", "e5m2,scale=max"), "");
  EXPECT_NE(error_of("entropy", "int,16,scale=max").find("conv1: "), std::string::npos);
  EXPECT_NE(error_of("mse", "int,8,rounding=stochastic,scale=max").find("conv1: "),
            std::string::npos);
}

}  // namespace
}  // namespace tensorquant
