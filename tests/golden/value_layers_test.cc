// Every vector of arithmetic_values.jsonl, bit for bit, by the operations that front-ends run.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/operation.h"
#include "tests/floats.h"
#include "tests/golden/arithmetic_case.h"
#include "tests/golden/json_lines.h"

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
  std::map<std::string, int> kinds;
  int number = 0;
  for (const json& entry : json_lines("arithmetic_values.jsonl")) {
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

}  // namespace
}  // namespace tensorquant
