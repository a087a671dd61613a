#ifndef TENSORQUANT_CLI_ONNX_LAYERS_H_
#define TENSORQUANT_CLI_ONNX_LAYERS_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/maps/layer_pattern.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/onnx/names/layers.h"

// The layers of an ONNX model as its file tells them, without running it.
namespace tensorquant::cli {

struct OnnxLayer {
  NamedLayer key;                                   // how maps know it
  std::string node = {};                            // its name in the file
  std::string weight = {}, bias = {}, output = {};  // the names of these tensors; "" for none
  bool sums_integers = false;                       // exactly, unless --sums float

  // Whether it only moves numbers: rules hit it where they name it.
  bool moves() const { return key.kind == NamedLayer::Kind::mover; }
};

// Whether a --model is a file of that kind and not a name of a network of ours.
bool is_onnx_file(const std::string& model);

struct OnnxLayers {
  // Inputs of numbers with fractions, nodes that compute, and those that only move numbers.
  std::vector<OnnxLayer> layers;
  std::optional<Override> kept;  // the maps in the file's metadata
};
// Error as of read_model(), take_maps() and make_graph().
OnnxLayers read_onnx_layers(const std::string& path, onnx::NameSource names);

std::string to_table(const std::vector<OnnxLayer>& layers);
nlohmann::ordered_json to_json(const OnnxLayer& layer);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_ONNX_LAYERS_H_
