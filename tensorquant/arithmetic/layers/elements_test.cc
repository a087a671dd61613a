#include "tensorquant/arithmetic/layers/elements.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr std::size_t kRows = 6, kColumns = 70;

std::vector<std::string> scaled_strings() {
  std::vector<std::string> strings = {"int,8,unsigned,per=row,scale=range",
                                      "int,8,per=channel,scale=max", "int,4,block=7,scale=range",
                                      "stochastic,8,0,block=16,scale=max", "nvfp4,scale=max"};
  for (const FormatEntry& entry : format_list()) {
    for (const auto& example : entry.examples) {
      if (std::holds_alternative<Scaled>(*make_quantizer(example)->format())) {
        strings.emplace_back(example);
      }
    }
  }
  return strings;
}

// Numbers of many sizes, of which a row are zeros.
template <class T>
std::vector<T> numbers() {
  std::vector<T> x(kRows * kColumns);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int wave = static_cast<int>(i * 37 % 101) - 50;
    x[i] = i / kColumns == 3 ? T{0}
                             : static_cast<T>(std::ldexp(wave, static_cast<int>(i * 13 % 11) - 8));
  }
  return x;
}

Context rows_and_columns() {
  Context context{.seed = 5, .stream = 2};
  context.layout = Layout{.channel = {.outer = 1, .length = kRows, .inner = kColumns},
                          .reduction = {.outer = kRows, .length = kColumns, .inner = 1}};
  return context;
}

template <class T>
void expect_elements_of_the_reference(const std::string& spec, const std::vector<T>& x) {
  const auto quantizer = make_quantizer(spec);
  const auto& format = std::get<Scaled>(*quantizer->format());
  const Context context = rows_and_columns();
  const ScaledParts<T> parts = split_reference<T>(format, x, context);
  std::vector<T> values(x.size());
  quantize_reference<T>(format, x, values, context);
  const std::vector<T> q = elements_of<T>("the numbers", format, values, parts.scales,
                                          grouping(format.scale, x.size(), context));
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (values[i] == 0) continue;  // a sign, or what a scale of 0 was multiplied with
    if (std::isnan(q[i]) && std::isnan(parts.q[i])) continue;
    ASSERT_EQ(q[i], parts.q[i]) << spec << " at " << i << ": " << x[i];
  }
}

TEST(Elements, AreThoseThatTheFormatMade) {
  for (const std::string& spec : scaled_strings()) {
    SCOPED_TRACE(spec);
    expect_elements_of_the_reference(spec, numbers<float>());
    expect_elements_of_the_reference(spec, numbers<double>());
  }
}

TEST(Elements, AreThoseThatTheFormatMadeOfTheTypesSmallestNumbers) {
  for (const std::string& spec : scaled_strings()) {
    if (spec.find("scale=1") != std::string::npos) continue;
    std::vector<float> x = numbers<float>();
    for (float& number : x) number *= 0x1p-134F;
    SCOPED_TRACE(spec);
    expect_elements_of_the_reference(spec, x);
  }
}

std::string message_of(const std::string& spec, const std::vector<float>& values, float scale) {
  const auto quantizer = make_quantizer(spec);
  const auto& format = std::get<Scaled>(*quantizer->format());
  try {
    elements_of<float>("the numbers", format, values, std::vector<float>{scale},
                       grouping(format.scale, values.size(), {}));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Elements, AreRefusedWhereTheValuesAreNone) {
  EXPECT_EQ(message_of("int,8,scale=max", {0.5F, -1.5F}, 0.5F), "");
  EXPECT_NE(message_of("int,8,scale=max", {0.5F, 0.75F}, 0.5F).find("the numbers are not elements"),
            std::string::npos);
  EXPECT_NE(
      message_of("int,8,scale=max", {std::nextafter(1.0F, 2.0F)}, 0.5F).find("were they changed"),
      std::string::npos);
}

TEST(Elements, AreRefusedWhereTheValuesDoNotTellThem) {
  const float largest = std::numeric_limits<float>::max();
  EXPECT_NE(message_of("int,8,scale=max", {largest}, largest / 2.6F).find("too large"),
            std::string::npos);
  EXPECT_NE(message_of("int,24,scale=max", {1.0F}, 1.0F).find("as many bits"), std::string::npos);
  // In units of the smallest number posit,8's 1, 1.125, 1.25 ... times 10 are 10, 11 of 11.25, 12
  // of 12.5, 14 of 13.75 and so on. Times 3 they are 3, 3 of 3.375, 4 of 3.75 and of 4.125, 6
  // of 5.625 and 6 ...
  const float unit = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(message_of("posit,8,scale=max", {10 * unit, 11 * unit, -14 * unit}, 10 * unit), "");
  EXPECT_EQ(message_of("posit,8,scale=max", {12 * unit}, 3 * unit), "");
  for (const float value : {4 * unit, -4 * unit, 6 * unit}) {
    EXPECT_NE(message_of("posit,8,scale=max", {value}, 3 * unit).find("too small"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace tensorquant
