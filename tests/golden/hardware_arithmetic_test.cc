// Every dot product of arithmetic2.jsonl: scaled formats, tensor cores, two accumulators. README.md
// here says whose hand wrote it.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/arithmetic/layers/scaled_product.h"
#include "tests/floats.h"
#include "tests/golden/json_lines.h"

namespace tensorquant {
namespace {

using nlohmann::json;

std::vector<float> values_of(const json& words) {
  std::vector<float> values;
  for (const json& word : words) {
    values.push_back(from_bits<float>(
        static_cast<std::uint32_t>(std::stoul(word.get<std::string>(), nullptr, 16))));
  }
  return values;
}

// The rows of a matrix [lines, taps], quantized.
ScaledMatrix<float> operand(const json& format, const json& words, std::int64_t lines,
                            std::int64_t taps) {
  const auto quantizer = make_quantizer(format.get<std::string>());
  std::vector<float> x = values_of(words);
  if (const auto* scaled = std::get_if<Scaled>(quantizer->format())) {
    return scaled_matrix<float>(*scaled, x, {lines, taps, MatrixShape::Lines::rows});
  }
  quantizer->quantize(x, x);
  return {.q = x, .scales = {}, .min_exponent = smallest_normal_exponent(*quantizer)};
}

TEST(GoldenHardwareArithmetic, IsThatOfTheSecondHand) {
  int checked = 0;
  for (const json& row : json_lines("arithmetic2.jsonl")) {
    SCOPED_TRACE(row["text"]);
    const std::int64_t m = row["shape"][0], k = row["shape"][1], n = row["shape"][2];
    const ScaledMatrix<float> a = operand(row["a_format"], row["a"], m, k);
    const ScaledMatrix<float> b = operand(row["b_format"], row["b"], n, k);
    std::optional<OuterSum> outer;
    if (row.contains("outer")) {
      outer = OuterSum{make_quantizer(row["outer"]["accumulator"].get<std::string>()),
                       row["outer"].value("every", 0)};
    }
    Arithmetic arithmetic =
        make_arithmetic(*make_quantizer(row["product"].get<std::string>()),
                        *make_quantizer(row["accumulator"].get<std::string>()),
                        make_accumulate(row["accumulate"].get<std::string>()), outer);
    arithmetic.data_min_exponent = a.min_exponent;
    arithmetic.weight_min_exponent = b.min_exponent;
    const std::vector<float> wanted = values_of(row["y"]);
    std::vector<float> y(wanted.size());
    linear<float>(arithmetic, {}, m, k, n, a.q.data(), b.q.data(), nullptr, y.data(), nullptr,
                  nullptr, {a.scales_along_k(), b.scales_along_k()});
    for (std::size_t i = 0; i < y.size(); ++i) {
      EXPECT_TRUE(same_bits(y[i], wanted[i])) << i << ": " << hex(y[i]) << ", " << hex(wanted[i]);
    }
    ++checked;
  }
  EXPECT_EQ(checked, 15);
}

}  // namespace
}  // namespace tensorquant
