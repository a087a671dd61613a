// Every line of calibration/calibration.jsonl, bit for bit. README.md here says whose hand wrote
// it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/base/parallel.h"
#include "tensorquant/calibration/calibrator.h"
#include "tests/floats.h"
#include "tests/golden/json_lines.h"
#include "tests/hostile_float_environment.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using Sizes = std::vector<std::size_t>;

std::filesystem::path folder() {
  return std::filesystem::path(TENSORQUANT_SOURCE_DIR) / "tests" / "golden" / "calibration";
}

std::vector<float> read_floats(const std::string& name) {
  const std::filesystem::path path = folder() / name;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  std::vector<float> values(std::filesystem::file_size(path) / sizeof(float));
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

float from_hex(const json& text) {
  return from_bits<float>(
      static_cast<std::uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16)));
}

CalibrationMethod method_of(const json& line) {
  std::string text = line["method"];
  if (text == "percentile_range") text = "percentile";
  if (line.contains("c")) text += "=" + line["c"].get<std::string>();
  if (line.contains("p")) text += "=" + line["p"].get<std::string>();
  return make_calibration_method(text);
}

std::shared_ptr<const Quantizer> element_of(const json& line) {
  static const std::map<std::string, std::string> strings = {
      {"int,8", "even,8,0"}, {"int,4", "even,4,0"}, {"e2m1", "e2m1"}};
  if (line.contains("levels")) {
    EXPECT_EQ(line["levels"], 128);  // those of int,8
    return make_quantizer("even,8,0");
  }
  return make_quantizer(strings.at(line.value("format", "int,8")));
}

// Batches of the sizes, the last one again and again.
template <class T>
void pass(Calibrator& calibrator, std::span<const T> values, const Sizes& sizes) {
  for (std::size_t i = 0; !values.empty(); ++i) {
    const std::size_t size = std::min(sizes[std::min(i, sizes.size() - 1)], values.size());
    calibrator.observe(values.first(size));
    calibrator.end_batch();
    values = values.subspan(size);
  }
}

template <class T>
void check(const json& line, const std::vector<T>& values, const Sizes& sizes) {
  Calibrator calibrator(method_of(line));
  pass(calibrator, std::span<const T>(values), sizes);
  if (calibrator.method().passes() == 2) {
    calibrator.begin_second_pass();
    pass(calibrator, std::span<const T>(values), sizes);
  }
  if (line.contains("amax")) {
    EXPECT_SAME_BITS(calibrator.amax(*element_of(line), "x"), from_hex(line["amax"])) << line;
  } else {
    const ValueRange range = calibrator.range("x");
    EXPECT_SAME_BITS(range.low, double{from_hex(line["lo"])}) << line;
    EXPECT_SAME_BITS(range.high, double{from_hex(line["hi"])}) << line;
  }
}

TEST(GoldenCalibration, IsThatOfTheSecondHand) {
  const std::vector<json> lines = json_lines("calibration/calibration.jsonl");
  ASSERT_EQ(lines.size(), 33u);
  for (const json& line : lines) {
    check(line, read_floats(line["input"]), line["batches"].get<Sizes>());
  }
}

TEST(GoldenCalibration, DependsOnBatchesInAverageAlone) {
  std::mt19937 random(1);
  for (const json& line : json_lines("calibration/calibration.jsonl")) {
    if (line["method"] == "average") continue;
    std::vector<float> values = read_floats(line["input"]);
    std::shuffle(values.begin(), values.end(), random);
    for (const std::size_t size : {1, 7, 128}) check(line, values, {size});
    check(line, values, {values.size()});
  }
}

TEST(GoldenCalibration, IsTheSameInFloat64) {
  for (const json& line : json_lines("calibration/calibration.jsonl")) {
    const std::vector<float> values = read_floats(line["input"]);
    check(line, std::vector<double>(values.begin(), values.end()), line["batches"].get<Sizes>());
  }
}

#if defined(__x86_64__)
TEST(GoldenCalibration, IsTheSameWhereTheCallerFlushesSubnormalsAndRoundsUp) {
  const std::vector<json> lines = json_lines("calibration/calibration.jsonl");
  std::map<std::string, std::vector<float>> inputs;
  for (const json& line : lines) inputs[line["input"]] = read_floats(line["input"]);
  const HostileFloatEnvironment hostile;
  for (const json& line : lines) {
    const std::string input = line["input"];
    check(line, inputs[input], line["batches"].get<Sizes>());
  }
}
#endif

}  // namespace
}  // namespace tensorquant
