// Every vector of arithmetic_values.jsonl, bit for bit, by the operations that front-ends run.

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/arithmetic/layers/elementwise.h"
#include "tensorquant/arithmetic/layers/operation.h"
#include "tests/floats.h"
#include "tests/golden/arithmetic_case.h"

namespace tensorquant {
namespace {

using nlohmann::json;

Operation operation_of(const json& entry, double epsilon) {
  using Kind = BinaryOperation::Kind;
  const std::string kind = entry["kind"];
  const json& shape = entry["shape"];
  if (kind == "products") return MatrixProductOperation{};
  if (kind == "function")
    return FunctionOperation{make_function(shape["function"].get<std::string>())};
  if (kind == "add") return BinaryOperation{Kind::add};
  if (kind == "sub") return BinaryOperation{Kind::subtract};
  if (kind == "mul") return BinaryOperation{Kind::multiply};
  if (kind == "div") return BinaryOperation{Kind::divide};
  if (kind == "softmax") return SoftmaxOperation{};
  if (kind == "log_softmax") return SoftmaxOperation{.is_logarithm = true};
  if (kind == "group_norm") return GroupNormOperation{shape["groups"], epsilon};
  return LayerNormOperation{shape["dimensions"], kind == "layer_norm", epsilon};
}

template <class T>
void check(const json& entry, const std::string& where) {
  Arithmetic arithmetic = arithmetic_of(entry);
  const json& shape = entry["shape"];
  std::vector<std::vector<T>> values = {values_of<T>(entry["a"])};
  std::vector<TensorShape> shapes;
  const std::string kind = entry["kind"];
  const auto size = [](const std::vector<T>& x) { return static_cast<std::int64_t>(x.size()); };
  if (kind == "products") {
    shapes = {shape["a"], shape["b"]};
  } else if (shape.contains("x")) {
    shapes = {shape["x"]};
  } else {
    shapes = {{size(values[0])}};
  }
  if (entry.contains("b")) {
    values.push_back(values_of<T>(entry["b"]));
    if (shapes.size() == 1) shapes.push_back(shapes[0]);
  }
  for (const char* key : {"gamma", "beta"}) {
    if (!entry.contains(key)) continue;
    values.push_back(values_of<T>(entry[key]));
    if (kind == "group_norm") {
      shapes.push_back({size(values.back())});
    } else {
      const TensorShape& x = shapes[0];
      shapes.emplace_back(x.end() - shape["dimensions"].get<std::int64_t>(), x.end());
    }
  }
  const double epsilon = entry.contains("eps") ? values_of<T>(entry["eps"])[0] : T{0};
  std::vector<const T*> inputs;
  for (const auto& x : values) inputs.push_back(x.data());
  const std::vector<T> wanted = values_of<T>(entry["y"]);
  std::vector<T> y(wanted.size());
  run_operation(operation_of(entry, epsilon), arithmetic, context_of(entry), shapes, inputs,
                y.data());
  for (std::size_t i = 0; i < y.size(); ++i) {
    ASSERT_TRUE(same_bits(y[i], wanted[i]))
        << where << ", output " << i << ": " << y[i] << ", wanted " << wanted[i];
  }
}

TEST(GoldenValueLayers, AreThoseOfTheSecondHand) {
  const auto path =
      std::filesystem::path(TENSORQUANT_SOURCE_DIR) / "tests/golden/arithmetic_values.jsonl";
  std::ifstream file(path);
  ASSERT_TRUE(file.is_open()) << path;
  std::map<std::string, int> kinds;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    const json entry = json::parse(line);
    ++kinds[entry["kind"]];
    const std::string where =
        "line " + std::to_string(++number) + ": " + entry["kind"].get<std::string>() + " " +
        entry["shape"].dump() + " " + entry["product"].get<std::string>() + " / " +
        entry["accumulator"].get<std::string>() + " / " + entry["accumulate"].get<std::string>();
    entry["type"] == "float32" ? check<float>(entry, where) : check<double>(entry, where);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(kinds["function"], 400);
  EXPECT_GT(kinds["softmax"], 100);
  EXPECT_GT(kinds["log_softmax"], 100);
  EXPECT_GT(kinds["layer_norm"], 100);
  EXPECT_GT(kinds["rms_norm"], 100);
  EXPECT_GT(kinds["group_norm"], 100);
  EXPECT_GT(kinds["products"], 100);
}

// The CRC-32 of bits, little-endian; every NaN is the quiet one.
std::uint32_t checksum(const std::vector<float>& values) {
  std::uint32_t sum = ~0U;
  for (const float x : values) {
    const std::uint32_t bits = x != x ? 0x7FC00000 : to_bits(x);
    for (int i = 0; i < 4; ++i) {
      sum ^= bits >> (8 * i) & 0xFF;
      for (int k = 0; k < 8; ++k) sum = sum >> 1 ^ (0xEDB88320 & (0 - (sum & 1)));
    }
  }
  return ~sum;
}

TEST(GoldenFunctions, OfAllBfloat16NumbersAreThoseOfTheSecondHand) {
  std::ifstream file(std::filesystem::path(TENSORQUANT_SOURCE_DIR) / "tests/golden/functions.json");
  ASSERT_TRUE(file.is_open());
  const json sums = json::parse(file);
  std::vector<float> x, y(1 << 16);
  for (std::uint32_t bits = 0; bits < 1 << 16; ++bits) x.push_back(from_bits<float>(bits << 16));
  EXPECT_EQ(sums.size(), all_functions().size());
  for (const Function function : all_functions()) {
    for (const auto& [rounding, format] :
         {std::pair("even", "none"), std::pair("up", "float,8,23,rounding=up")}) {
      const auto product = *grid_format(*make_quantizer(format)->format());
      rounded_function<float>({.product = product}, {}, function, x, y);
      EXPECT_EQ(checksum(y), sums[to_string(function)][rounding].get<std::uint32_t>())
          << to_string(function) << " " << rounding;
    }
  }
}

}  // namespace
}  // namespace tensorquant
