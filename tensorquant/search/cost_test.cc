#include "tensorquant/search/cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

Operand fixed(int bits) {
  Operand operand;
  operand.bits = bits;
  operand.stored_bits = bits;
  operand.is_float = false;
  operand.magnitude_bits = bits - 1;
  return operand;
}

// A convolution of 3 x 3 from 2 channels of 4 x 4 to 5, its batch norm and ReLU, and a linear layer
// from the 80 numbers to 10.
std::vector<LayerFacts> small_network() {
  return {{"conv", "Conv2d", 5 * 16 * 18, 18, 5 * 18, 0, 32, 80, {}, false},
          {"bn", "BatchNorm2d", 0, 0, 5, 5, 80, 80, {"conv"}, false},
          {"relu", "ReLU", 0, 0, 0, 0, 80, 80, {"bn"}, true},
          {"flatten", "Flatten", 0, 0, 0, 0, 80, 80, {"relu"}, true},
          {"fc", "Linear", 800, 80, 800, 10, 80, 10, {"flatten"}, false}};
}

std::vector<LayerFormats> small_formats() {
  std::vector<LayerFormats> formats(5);
  formats[0].weight = fixed(4);
  formats[0].weights = CodeCounts{.zeros = 9, .span_bits = 200};
  formats[2].output = fixed(6);
  formats[4].weight = fixed(8);
  formats[4].bias = fixed(16);
  formats[4].weights = CodeCounts{.zeros = 100, .span_bits = 3000};
  return formats;
}

MapCost cost_of(const std::vector<LayerFacts>& facts, const std::vector<LayerFormats>& formats,
                const Technology& technology, const Operand& model_input = {}) {
  return CostFunction(facts, technology, model_input)(formats);
}

const Technology& technology() { return all_technologies().front(); }

TEST(Cost, OfASmallNetworkIsThatCountedByHand) {
  const MapCost cost = cost_of(small_network(), small_formats(), technology(), fixed(8));
  EXPECT_EQ(cost.bits, 90 * 4 + 10 * 32 + 800 * 8 + 10 * 16);
  EXPECT_EQ(cost.bops, 1440 * 4 * 8 + 800 * 8 * 6);  // fc reads what relu left
  EXPECT_EQ(cost.bops_without_zeros, 1440 * 4 * 8 * 81 / 90 + 700 * 8 * 6);
  EXPECT_EQ(cost.ebops, 200 * 8 * 16 + 3000 * 6 + 10 * 16);
  // conv's output is stored as relu's, of 6 bits; fc's as float32.
  EXPECT_EQ(cost.layers[0].output_bits, 80 * 6);
  EXPECT_EQ(cost.layers[4].output_bits, 10 * 32);
  EXPECT_EQ(cost.peak, 80 * 6 + 10 * 32);
  EXPECT_EQ(cost.traffic, 90 * 4 + 32 * 8 + 80 * 6 + 800 * 8 + 10 * 16 + 80 * 6 + 10 * 32);
}

TEST(Cost, EnergyIsThatOfTheTable) {
  // conv: 18 products of 4 and 8 bits: the worst case is 16 bits: alpha = log2(18) + 10.
  const double conv = 1440 * (0.2 * std::pow(std::sqrt(32.0) / 8, std::log(15.5) / std::log(4)) +
                              0.03 * std::pow(16 / 8.0, std::log(10 / 3.0) / std::log(4)));
  std::vector<LayerFormats> formats = small_formats();
  formats[4].accumulator = 32;
  formats[4].weight.multiplies = false;
  const MapCost cost = cost_of(small_network(), formats, technology(), fixed(8));
  const double access = 10.0 / 64;  // less than 8 KiB in all
  EXPECT_NEAR(cost.layers[0].energy, conv + cost.layers[0].traffic * access, 1e-9);
  EXPECT_NEAR(cost.layers[4].energy, 800 * 0.1 + cost.layers[4].traffic * access, 1e-9);
  const MapCost floats = cost_of(small_network(), std::vector<LayerFormats>(5), technology());
  EXPECT_NEAR(floats.layers[0].energy, 1440 * (3.7 + 0.9) + floats.layers[0].traffic * access,
              1e-9);
}

TEST(Cost, KeepsWhatSeveralLayersReadAsItIsAndTakesTheWidestOfSeveralInputs) {
  std::vector<LayerFacts> facts = small_network();
  facts[3] = {"add", "Add", 0, 0, 0, 0, 160, 80, {"conv", "relu"}, true};
  facts[4].sources = {"add"};
  const MapCost cost = cost_of(facts, small_formats(), technology());
  EXPECT_EQ(cost.layers[0].output_bits, 80 * 32);
  EXPECT_EQ(cost.layers[4].input.bits, 32);
}

TEST(Cost, WithoutCodesKnowsNoEbops) {
  std::vector<LayerFormats> formats = small_formats();
  formats[0].weights = std::nullopt;
  const MapCost cost = cost_of(small_network(), formats, technology());
  EXPECT_FALSE(cost.ebops);
  EXPECT_THROW(cost_named(cost, "ebops"), Error);
  EXPECT_EQ(cost_named(cost, "bops"), cost.bops);
  EXPECT_THROW(cost_named(cost, "bop"), Error);
}

TEST(Cost, OffersNoMaximumToASearchWhichSavesSums) {
  EXPECT_EQ(std::count(cost_names().begin(), cost_names().end(), "peak"), 0);
  EXPECT_THROW(cost_named(cost_of(small_network(), small_formats(), technology()), "peak"), Error);
}

TEST(Cost, RefusesFactsThatCannotBe) {
  const auto refuses = [](auto change) {
    std::vector<LayerFacts> facts = small_network();
    change(facts);
    EXPECT_THROW(CostFunction(facts, technology()), Error);
  };
  refuses([](auto& facts) { facts[0].terms = 0; });
  refuses([](auto& facts) { facts[4].weights = 0; });
  refuses([](auto& facts) { facts[1].outputs = -80; });
  refuses([](auto& facts) { facts[4].macs = -1; });
}

TEST(Cost, OfALayerThatIsCalledTwiceHasItsParametersOnce) {
  // Two passes through one 10 x 10 matrix and one ReLU.
  const std::vector<LayerFacts> facts = {
      {"fc", "Linear", 100, 10, 100, 10, 10, 10, {}, false},
      {"relu", "ReLU", 0, 0, 0, 0, 10, 10, {"fc"}, true},
      {"fc", "Linear", 100, 10, 100, 10, 10, 10, {"relu"}, false},
      {"relu", "ReLU", 0, 0, 0, 0, 10, 10, {"fc"}, true}};
  std::vector<LayerFormats> formats(4);
  formats[0].weight = formats[2].weight = fixed(4);
  formats[0].bias = formats[2].bias = fixed(8);
  formats[1].output = formats[3].output = fixed(6);
  const MapCost cost = cost_of(facts, formats, technology(), fixed(5));
  EXPECT_EQ(cost.bits, 100 * 4 + 10 * 8);
  EXPECT_EQ(cost.bops, 100 * 4 * 5 + 100 * 4 * 6);
  // Each pass reads them, and writes what the ReLU behind it leaves.
  EXPECT_EQ(cost.traffic, 2 * 480 + 10 * 5 + 10 * 6 + 10 * 6 + 10 * 6);
}

TEST(Cost, OfSumsWhoseWorstCaseNothingTellsIsThatOf32Bits) {
  std::vector<LayerFormats> formats = small_formats();
  formats[0].weight.magnitude_bits = std::nullopt;
  const MapCost unknown = cost_of(small_network(), formats, technology(), fixed(8));
  formats[0].accumulator = 32;
  const MapCost given = cost_of(small_network(), formats, technology(), fixed(8));
  EXPECT_EQ(unknown.layers[0].energy, given.layers[0].energy);
}

TEST(Cost, RefusesLayersInAnotherOrder) {
  std::vector<LayerFacts> facts = small_network();
  std::swap(facts[1], facts[2]);
  EXPECT_THROW(cost_of(facts, small_formats(), technology()), Error);
  EXPECT_THROW(cost_of(facts, std::vector<LayerFormats>(4), technology()), Error);
}

TEST(Technology, PowersAreThoseOfTheTable) {
  // 0.2 (g / 8)^1.977 and 0.03 (p / 8)^0.868; 0.07 (g / 8)^2.201 and 0.007 (p / 8)^1.050.
  const Technology& nm45 = all_technologies()[0];
  const Technology& nm7 = all_technologies()[1];
  EXPECT_NEAR(std::log2(nm45.integer_multiply.at(16) / 0.2), 1.977, 5e-4);
  EXPECT_NEAR(std::log2(nm45.integer_add.at(16) / 0.03), 0.868, 5e-4);
  EXPECT_NEAR(std::log2(nm7.integer_multiply.at(16) / 0.07), 2.201, 5e-4);
  EXPECT_NEAR(std::log2(nm7.integer_add.at(16) / 0.007), 1.050, 5e-4);
  EXPECT_EQ(nm45.memory(1), 10);
  EXPECT_DOUBLE_EQ(nm45.memory(16), 15);
  EXPECT_DOUBLE_EQ(nm45.memory(64), 36);
  EXPECT_EQ(nm45.memory(1025), 1300);
}

TEST(Technology, OfAFileIsCheckedAsItIsRead) {
  const std::string good =
      R"({"name": "mine", "source": "me", "integer_add": {"8": 1, "32": 2}, "integer_multiply": {"8": 1, "32": 4},)"
      R"( "float_add": {"16": 1, "32": 2}, "float_multiply": {"16": 1, "32": 2}, "sram": {"8": 1, "1024": 2}, "dram": 9})";
  EXPECT_EQ(technology_from_json(good, "t.json").integer_multiply.at(16), 2);
  const auto fails = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_THROW(technology_from_json(bad, "t.json"), Error) << to;
  };
  fails("\"8\": 1", "\"eight\": 1");
  fails("\"8\": 1", "\"8\": -1");
  fails("\"8\": 1, \"32\": 2", "\"8\": 1, \"8.0\": 2");
  fails("\"8\": 1, \"1024\": 2", "\"8\": 1, \"8e0\": 2");
  fails(", \"32\": 4", "");
  fails("\"dram\"", "\"ram\"");
  fails("{\"8\": 1, \"1024\": 2}", "{}");
  fails("{\"name\"", "\"name\"");
}

// Table 2 of N. Jouppi et al., ISCA 2021, as the article "Deep learning accelerator architecture"
// (2024) transcribes it: its 45 nm are Horowitz'.
TEST(Technology, HasTheNumbersOfTheTableThatSourcesQuote) {
  using Row = std::vector<double>;
  const auto row = [](const Technology& one) {
    Row numbers;
    for (const EnergyLaw& law :
         {one.integer_add, one.float_add, one.integer_multiply, one.float_multiply}) {
      numbers.insert(numbers.end(), {law.narrow_bits, law.narrow, law.wide_bits, law.wide});
    }
    for (const auto& [kib, energy] : one.sram) numbers.insert(numbers.end(), {kib, energy});
    numbers.push_back(one.dram);
    return numbers;
  };
  EXPECT_EQ(row(all_technologies()[0]),
            (Row{8, 0.03, 32, 0.1, 16,   0.4, 32,  0.9, 8, 0.2, 32, 3.1, 16, 1.1, 32, 3.7,  //
                 8, 10,   32, 20,  1024, 100, 1300}));
  EXPECT_EQ(row(all_technologies()[1]), (Row{8, 0.007, 32, 0.03, 16,   0.16, 32,  0.38,
                                             8, 0.07,  32, 1.48, 16,   0.34, 32,  1.31,  //
                                             8, 7.5,   32, 8.5,  1024, 14,   1300}));
}

}  // namespace
}  // namespace tensorquant
