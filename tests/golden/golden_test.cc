// Every vector of a second hand, bit for bit, on every instruction set. README.md here says whose
// hand.

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path golden_folder() { return fs::path(TENSORQUANT_SOURCE_DIR) / "tests" / "golden"; }

json read_manifest(const fs::path& folder) {
  std::ifstream file(folder / "manifest.json");
  return json::parse(file);
}

template <class T>
std::vector<T> read_values(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  std::vector<T> values(fs::file_size(path) / sizeof(T));
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
  return values;
}

std::optional<Layout> layout_of(const json& entry) {
  const bool has_reduction = entry.contains("reduction_axis");
  if (!has_reduction && !entry.contains("channel_axis")) return std::nullopt;
  const auto shape = entry["shape"].get<std::vector<std::size_t>>();
  const std::size_t last = shape.size() - 1;
  const auto channel = entry.value("channel_axis", std::size_t{0});
  const auto reduction = entry.value("reduction_axis", last);
  return Layout{.channel = axis_of(shape, channel, channel + 1),
                .reduction = axis_of(shape, reduction, reduction + 1)};
}

Context context_of(const json& entry) {
  return {.seed = entry.value("seed", std::uint64_t{0}),
          .stream = entry.value("stream", std::uint32_t{0}),
          .step = entry.value("step", std::uint32_t{0}),
          .layout = layout_of(entry)};
}

template <class T>
void check_vector(const fs::path& folder, const json& entry) {
  const auto quantizer = make_quantizer(entry["quantizer"].get<std::string>());
  const auto in = read_values<T>(folder / entry["input"].get<std::string>());
  std::vector<T> out(in.size());
  std::vector<T> wanted;
  if (entry.contains("input_gradient")) {
    const auto dy = read_values<T>(folder / entry["output_gradient"].get<std::string>());
    wanted = read_values<T>(folder / entry["input_gradient"].get<std::string>());
    std::vector<T> y(in.size());
    quantizer->quantize(std::span<const T>(in), y);
    quantizer->gradient(std::span<const T>(in), std::span<const T>(y), std::span<const T>(dy),
                        std::span<T>(out));
  } else {
    wanted = read_values<T>(folder / entry["output"].get<std::string>());
    quantizer->quantize(std::span<const T>(in), out, context_of(entry));
  }
  ASSERT_EQ(wanted.size(), out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_TRUE(same_bits(out[i], wanted[i]))
        << entry << " element " << i << ", x = " << hex(in[i]);
  }
}

TEST(ExactVectors, AreEqualBitForBitOnEveryTarget) {
  const fs::path folder = golden_folder() / "vectors";
  const json manifest = read_manifest(folder);
  ASSERT_GT(manifest.size(), 150u);
  for (const SimdTarget& target : simd_targets()) {
    const ScopedSimdTarget scoped(target);
    SCOPED_TRACE(target.name);
    for (const json& entry : manifest) {
      if (entry["type"] == "float32") {
        check_vector<float>(folder, entry);
      } else {
        check_vector<double>(folder, entry);
      }
    }
  }
}

// Files of another layout: float32 alone, a shape with each. See formats/ in README.md.
TEST(VectorsOfFormats, AreEqualBitForBitOnEveryTarget) {
  const fs::path folder = golden_folder() / "formats";
  const json manifest = read_manifest(folder);
  ASSERT_GT(manifest.size(), 20u);
  for (const SimdTarget& target : simd_targets()) {
    const ScopedSimdTarget scoped(target);
    SCOPED_TRACE(target.name);
    for (const json& entry : manifest) check_vector<float>(folder, entry);
  }
}

// The one list of formats, and what must follow it.
TEST(EveryListedName, HasVectorsOfASecondHand) {
  std::set<std::string> tested;
  for (const char* folder : {"vectors", "formats"}) {
    for (const json& entry : read_manifest(golden_folder() / folder)) {
      const auto spec = entry["quantizer"].get<std::string>();
      tested.insert(spec.substr(0, spec.find(',')));
    }
  }
  for (const FormatEntry& entry : format_list()) {
    EXPECT_TRUE(tested.contains(std::string(entry.name))) << entry.name;
  }
}

TEST(EveryListedName, StandsInAHeadingOfTheDocuments) {
  std::ifstream file(fs::path(TENSORQUANT_SOURCE_DIR) / "docs" / "quantizers.md");
  std::string headings;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) headings += line;
  }
  for (const FormatEntry& entry : format_list()) {
    EXPECT_NE(headings.find("`" + std::string(entry.name) + "`"), std::string::npos) << entry.name;
  }
}

TEST(EveryFormat, StandsInTheList) {
  std::set<std::size_t> listed;
  for (const FormatEntry& entry : format_list()) {
    listed.insert(entry.prototype.index());
    const auto* scaled = std::get_if<Scaled>(&entry.prototype);
    if (scaled == nullptr) continue;
    listed.insert(as_format(scaled->element).index());
  }
  EXPECT_EQ(listed.size(), std::variant_size_v<Format>);
}

// Single random numbers, at indices far beyond any file too.
TEST(RandomNumbers, AreThoseOfTheDefinition) {
  std::ifstream file(golden_folder() / "vectors" / "random.json");
  const json numbers = json::parse(file);
  ASSERT_GT(numbers.size(), 300u);
  for (const json& entry : numbers) {
    const auto element = entry["element"].get<std::uint64_t>();
    const int bits = entry["random_bits"].is_null() ? 24 : entry["random_bits"].get<int>();
    const bool half = !entry["random_bits"].is_null() && draws_half_words(bits);
    const Context context = context_of(entry);
    const std::uint32_t word =
        half ? random_half_word(context.random(), element) : random_word(context.random(), element);
    ASSERT_EQ(word >> (32 - bits), entry["integer"].get<std::uint32_t>()) << entry;
  }
}

// The original's kernels where they are right, and exact rationals: values are compared, as the
// original has no sign of zero to keep.
TEST(OriginalVectors, AreEqualButForTheNamedFaults) {
  const fs::path folder = golden_folder() / "original";
  const json manifest = read_manifest(folder);
  ASSERT_GT(manifest.size(), 60u);
  for (const json& entry : manifest) {
    const auto quantizer = make_quantizer(entry["quantizer"].get<std::string>());
    const auto in = read_values<float>(folder / entry["input"].get<std::string>());
    const auto wanted = read_values<float>(folder / entry["output"].get<std::string>());
    std::vector<float> out(in.size());
    quantizer->quantize(std::span<const float>(in), out, context_of(entry));
    ASSERT_EQ(out.size(), wanted.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const float x = in[i];
      const float y = out[i];
      const float original = wanted[i];
      SCOPED_TRACE(entry.dump() + " element " + std::to_string(i) + ", x = " + hex(x));
      if (y == original || (std::isnan(y) && std::isnan(original))) continue;
      // Where the two differ, it must be by a fault that the manifest names, and ours must be the
      // right value.
      ASSERT_TRUE(entry.contains("note")) << hex(y) << " is not " << hex(original);
      const std::string name = entry["quantizer"].get<std::string>();
      if (name == "nearest,32,16") {
        // It saturates at 2^15, which is not a value of the format.
        ASSERT_EQ(original, 32768.0f);
        ASSERT_EQ(y, std::nextafter(32768.0f, 0.0f));
      } else if (name.starts_with("sparse")) {
        // It drops the threshold itself.
        ASSERT_EQ(std::abs(x), std::stof(name.substr(7)));
        ASSERT_EQ(original, 0.0f);
        ASSERT_EQ(y, x);
      } else if (name == "fp16") {
        // It cuts the significand; ours is the nearest, so it is never farther from x, or overflows
        // at IEEE's bound.
        if (std::isinf(y)) {
          ASSERT_GE(std::abs(x), 65520.0f);
        } else {
          ASSERT_LE(std::abs(double{y} - x), std::abs(double{original} - x));
        }
      } else if (name == "logarithmic") {
        // It takes floor(log2(abs(x) + 1e-9)), has the exponents -31..31 alone, and no zero.
        if (std::abs(x) > 1e-6f && std::abs(x) < 0x1p31f) {
          ASSERT_EQ(std::abs(y), 2 * std::abs(original));
          ASSERT_GE(std::abs(x), 1.5f * std::abs(original));
        } else {
          ASSERT_LE(std::abs(double{y} - x), std::abs(double{original} - x));
        }
      } else {
        FAIL() << "no fault is known for this string";
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
