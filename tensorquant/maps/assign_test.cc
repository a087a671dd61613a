// The table of maps, layers and what becomes of them: Python's front-ends run the same.

#include "tensorquant/maps/assign.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using nlohmann::json;

json read_table() {
  std::ifstream file(std::string(TENSORQUANT_SOURCE_DIR) + "/tests/assignments.json");
  return json::parse(file);
}

std::vector<AssignableLayer> layers_of(const json& row) {
  std::vector<AssignableLayer> layers;
  for (const json& layer : row["layers"]) {
    const std::string arithmetic = layer.value("arithmetic", "rounded");
    layers.push_back({layer["names"], layer["type"],
                      arithmetic == "rounded"   ? AssignableLayer::Arithmetic::rounded
                      : arithmetic == "nothing" ? AssignableLayer::Arithmetic::nothing
                                                : AssignableLayer::Arithmetic::other,
                      layer.value("obstacle", "")});
  }
  return layers;
}

void add(json& found, const char* place, const std::shared_ptr<const Quantizer>& quantizer) {
  if (quantizer != nullptr) found[place] = quantizer->spec();
}

json shown(const LayerQuantizers& quantizers) {
  json found = json::object();
  add(found, "weight", quantizers.weight);
  add(found, "bias", quantizers.bias);
  add(found, "output", quantizers.output);
  add(found, "product", quantizers.product);
  add(found, "accumulator", quantizers.accumulator);
  if (quantizers.product != nullptr) found["accumulate"] = to_string(quantizers.accumulate);
  if (!quantizers.intrinsic.empty()) found["intrinsic"] = quantizers.intrinsic;
  if (!quantizers.rule.empty()) found["rule"] = quantizers.rule;
  return found;
}

json shown(const TrainingQuantizers& quantizers) {
  json found = json::object();
  add(found, "error", quantizers.error);
  add(found, "weight_gradient", quantizers.weight_gradient);
  add(found, "bias_gradient", quantizers.bias_gradient);
  add(found, "state", quantizers.state);
  add(found, "update", quantizers.update);
  for (const auto& [name, quantizer] : quantizers.states) {
    found["states"][name] = quantizer == nullptr ? json() : json(quantizer->spec());
  }
  return found;
}

TEST(Assign, DoesWhatTheTableSays) {
  const json table = read_table();
  ASSERT_GT(table.size(), 10u);
  for (const json& row : table) {
    SCOPED_TRACE(row["claim"]);
    Override maps = Override::from_json(row["maps"].get<std::string>());
    maps.seed = row.value("seed", 0);
    maps.strict = row.value("strict", false);
    const std::vector<AssignableLayer> layers = layers_of(row);
    const Assignment found = assign(maps, layers, row.value("has_input", true));
    EXPECT_EQ(found.faults.text(), row.value("fault", ""));
    if (row.contains("fault")) continue;
    EXPECT_EQ(found.idle, row.value("idle", std::vector<std::string>()));
    ASSERT_EQ(found.layers.size(), layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      EXPECT_EQ(shown(found.layers[i]), row["quantizers"][i]) << layers[i].names[0];
      const json training = row.value("training", json());
      EXPECT_EQ(shown(found.training[i]), training.is_null() ? json::object() : training[i]);
      EXPECT_EQ(found.layers[i].layer, layers[i].names[0]);
      EXPECT_EQ(found.layers[i].seed, maps.seed);
      EXPECT_EQ(found.layers[i].model_input, found.input.output);
    }
    EXPECT_EQ(found.input.output == nullptr ? json() : json(found.input.output->spec()),
              row["input"]);
  }
}

TEST(Assign, RefusesAMapInThePlaceOfAnother) {
  Override maps;
  maps.extrinsic = QuantizerMap({{"", "fp16"}});  // of weights
  EXPECT_THROW(assign(maps, {}), Error);
}

// In a model that has its inputs among its layers.
TEST(Assign, AnOnlyInputDrawsTheRandomNumbersOfInputWhateverItsName) {
  const auto input = [](const std::string& name) {
    AssignableLayer layer{{name}, "", AssignableLayer::Arithmetic::nothing, ""};
    layer.kind = NamedLayer::Kind::input;
    return layer;
  };
  const Override maps = {.extrinsic = QuantizerMap({{"input", "fp16"}}, MapKind::extrinsic)};
  const Assignment one = assign(maps, {input("input:image")});
  EXPECT_EQ(one.layers[0].layer, "input");
  EXPECT_EQ(one.layers[0].output->spec(), "fp16");
  EXPECT_EQ(one.input.output, nullptr);
  const Assignment two = assign(maps, {input("input:image"), input("input:mask")});
  EXPECT_EQ(two.layers[0].layer, "input:image");
  EXPECT_EQ(two.layers[1].layer, "input:mask");
  EXPECT_EQ(two.layers[1].output->spec(), "fp16");
}

TEST(Faults, TellEachReasonOnceWithItsLayers) {
  Faults faults;
  EXPECT_NO_THROW(faults.refuse());
  faults.add_of_layer("'a' (Conv2d)", "too wide");
  faults.add_to_list("cannot be quantized", "'b' (Add)");
  faults.add("rule 2 does nothing");
  faults.add_of_layer("'c' (Conv2d)", "layer 'c' (Conv2d): too wide");
  faults.add_to_list("cannot be quantized", "'d' (Add)");
  faults.add("rule 2 does nothing");
  EXPECT_EQ(faults.text(),
            "layers 'a' (Conv2d), 'c' (Conv2d): too wide; cannot be quantized: 'b' (Add), 'd' "
            "(Add); rule 2 does nothing");
  EXPECT_THROW(faults.refuse(), Error);
}

}  // namespace
}  // namespace tensorquant
