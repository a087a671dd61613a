// Every dot product of arithmetic2.jsonl: scaled formats, tensor cores, two accumulators. README.md
// here says whose hand wrote it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

using nlohmann::json;

// Rows of formats that are no quantizers yet.
const std::set<std::string> kNotYet = {"posit,8", "posit,16"};

// What the row's format does to the numbers q = element(x / s) that share a scale s.
struct ScaledFormat {
  enum class Rule { none, floor, max, e4m3, number };
  std::string element;
  Rule rule = Rule::none;
  std::int64_t block = 0;  // 0: one for each line; -1: one for the tensor
  float largest = 0;       // of the element
  float number = 0;
  float zero_point = 0;
};

const std::map<std::string, ScaledFormat>& scaled_formats() {
  using enum ScaledFormat::Rule;
  static const std::map<std::string, ScaledFormat> formats = {
      {"mxfp8_e4m3", {"e4m3fn", floor, 32, 448}},
      {"mxfp4", {"e2m1", floor, 32, 6}},
      {"mxint8", {"even,8,6,overflow=symmetric", floor, 32, 127.0f / 64}},
      {"nvfp4", {"e2m1", e4m3, 16, 6}},
      {"int,8,scale=0.05", {"even,8,0", number, -1, 127, 0.05f}},
      {"int,8,per=row,scale=max", {"even,8,0", max, 0, 127}},
      {"int,4,block=16,scale=max", {"even,4,0", max, 16, 7}},
      // q - 77, for q of 0 to 255: signed integers of more bits do where none leaves that range.
      {"int,8,unsigned,scale=0.02,zero=77", {"even,12,0", number, -1, 255, 0.02f, 77}},
  };
  return formats;
}

std::vector<float> values_of(const json& words) {
  std::vector<float> values;
  for (const json& word : words) {
    values.push_back(from_bits<float>(
        static_cast<std::uint32_t>(std::stoul(word.get<std::string>(), nullptr, 16))));
  }
  return values;
}

float largest_magnitude(std::span<const float> x) {
  float amax = 0;
  for (const float value : x) amax = std::max(amax, std::abs(value));
  return amax;
}

// A matrix as numbers q and their scales.
class Operand {
 public:
  Operand(const std::string& format, std::vector<float> x, std::int64_t lines, std::int64_t taps)
      : q(std::move(x)) {
    const auto found = scaled_formats().find(format);
    if (found == scaled_formats().end()) {
      const auto quantizer = make_quantizer(format);
      min_exponent = smallest_normal_exponent(*quantizer);
      quantizer->quantize(q, q);
      return;
    }
    const ScaledFormat& scaled = found->second;
    const auto element = make_quantizer(scaled.element);
    const std::int64_t block = scaled.block > 0 ? scaled.block : taps;
    const float tensor_scale = largest_magnitude(q) / (448 * scaled.largest);
    for (std::int64_t line = 0; line < lines; ++line) {
      for (std::int64_t first = 0; first < taps; first += block) {
        const std::span<float> group(q.data() + line * taps + first,
                                     static_cast<std::size_t>(std::min(block, taps - first)));
        const float s = scale_of(scaled, largest_magnitude(group), tensor_scale);
        values_.push_back(s);
        for (float& value : group) value /= s;
        element->quantize(group, group);
        if (scaled.zero_point == 0) continue;
        for (float& value : group) {
          value = std::clamp(value, -scaled.zero_point, scaled.largest - scaled.zero_point);
        }
      }
    }
    scales = {values_, block, (taps + block - 1) / block};
  }

  std::vector<float> q;
  ScalesAlongK<float> scales;
  std::optional<int> min_exponent;

 private:
  static float scale_of(const ScaledFormat& format, float amax, float tensor_scale) {
    switch (format.rule) {
      case ScaledFormat::Rule::number:
        return format.number;
      case ScaledFormat::Rule::max:
        return amax == 0 ? 1 : amax / format.largest;
      case ScaledFormat::Rule::floor:
        return amax == 0 ? 1 : std::ldexp(1.0f, std::ilogb(amax) - std::ilogb(format.largest));
      case ScaledFormat::Rule::e4m3: {
        float b = std::clamp(amax / (format.largest * tensor_scale), 0x1p-9f, 448.0f);
        make_quantizer("e4m3fn")->quantize({&b, 1}, {&b, 1});
        return b * tensor_scale;
      }
      case ScaledFormat::Rule::none:
        break;
    }
    return 1;
  }

  std::vector<float> values_;
};

TEST(GoldenHardwareArithmetic, IsThatOfTheSecondHand) {
  const auto path =
      std::filesystem::path(TENSORQUANT_SOURCE_DIR) / "tests/golden/arithmetic2.jsonl";
  std::ifstream file(path);
  ASSERT_TRUE(file.is_open()) << path;
  int checked = 0, skipped = 0;
  for (std::string line; std::getline(file, line);) {
    const json row = json::parse(line);
    SCOPED_TRACE(row["text"]);
    if (kNotYet.contains(row["a_format"])) {
      ++skipped;
      continue;
    }
    const std::int64_t m = row["shape"][0], k = row["shape"][1], n = row["shape"][2];
    const Operand a(row["a_format"], values_of(row["a"]), m, k);
    const Operand b(row["b_format"], values_of(row["b"]), n, k);
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
                  nullptr, {a.scales, b.scales});
    for (std::size_t i = 0; i < y.size(); ++i) {
      EXPECT_TRUE(same_bits(y[i], wanted[i])) << i << ": " << hex(y[i]) << ", " << hex(wanted[i]);
    }
    ++checked;
  }
  EXPECT_EQ(checked, 13);
  EXPECT_EQ(skipped, 2);
}

}  // namespace
}  // namespace tensorquant
