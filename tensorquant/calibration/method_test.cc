#include "tensorquant/calibration/method.h"

#include <gtest/gtest.h>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Kind = CalibrationMethod::Kind;

std::string fault(const std::string& text) {
  try {
    make_calibration_method(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CalibrationMethod, IsReadFromAWordAndItsNumber) {
  EXPECT_EQ(make_calibration_method("minmax"), (CalibrationMethod{Kind::minmax, 0}));
  EXPECT_EQ(make_calibration_method("average"), (CalibrationMethod{Kind::average, 0.01}));
  EXPECT_EQ(make_calibration_method("average=0.25"), (CalibrationMethod{Kind::average, 0.25}));
  EXPECT_EQ(make_calibration_method("average=1"), (CalibrationMethod{Kind::average, 1}));
  EXPECT_EQ(make_calibration_method("percentile"), (CalibrationMethod{Kind::percentile, 99.99}));
  EXPECT_EQ(make_calibration_method("Percentile=99.9999999"),
            (CalibrationMethod{Kind::percentile, 99.9999999}));
  EXPECT_EQ(make_calibration_method("mse"), (CalibrationMethod{Kind::mse, 0}));
  EXPECT_EQ(make_calibration_method("entropy"), (CalibrationMethod{Kind::entropy, 0}));
}

TEST(CalibrationMethod, IsWrittenAsItIsRead) {
  for (const char* text : {"minmax", "average=0.01", "average=0.25", "percentile=99.99",
                           "percentile=100", "percentile=99.9999999", "mse", "entropy"}) {
    EXPECT_EQ(to_string(make_calibration_method(text)), text);
  }
  for (const std::string& name : calibration_method_names()) {
    EXPECT_TRUE(to_string(make_calibration_method(name)).starts_with(name));
  }
}

TEST(CalibrationMethod, SaysWhatIsWrong) {
  EXPECT_EQ(fault("averge=0.1"),
            "calibration method 'averge=0.1': unknown name 'averge', did you mean 'average'?");
  EXPECT_EQ(fault("histogram"),
            "calibration method 'histogram': expected 'minmax', 'average', 'percentile', 'mse' or "
            "'entropy', found 'histogram'");
  EXPECT_EQ(fault(""),
            "calibration method '': expected 'minmax', 'average', 'percentile', 'mse' or "
            "'entropy', found ''");
  EXPECT_EQ(fault("mse=3"), "calibration method 'mse=3': 'mse' takes no number");
  EXPECT_EQ(fault("minmax="), "calibration method 'minmax=': 'minmax' takes no number");
  EXPECT_EQ(fault("average=2"),
            "calibration method 'average=2': expected a number c in (0, 1], found '2'");
  EXPECT_EQ(fault("percentile="),
            "calibration method 'percentile=': expected a number p in (0, 100] with at most 7 "
            "decimals, found ''");
  for (const char* text : {"average=0", "average=-0.1", "average=nan", "average=0.1x", "average=",
                           "average= 0.1", "percentile=0", "percentile=100.1", "percentile=1e-8",
                           "percentile=99.99999999", "percentile=inf", "percentile=99.9=2"}) {
    EXPECT_NE(fault(text), "") << text;
  }
}

TEST(CalibrationMethod, KnowsItsPassesAndWhetherItFindsARange) {
  for (const std::string& name : calibration_method_names()) {
    const CalibrationMethod method = make_calibration_method(name);
    EXPECT_EQ(method.passes(), name == "entropy" ? 2 : 1) << name;
    EXPECT_EQ(method.finds_range(), name != "entropy" && name != "mse") << name;
  }
}

}  // namespace
}  // namespace tensorquant
