#ifndef TENSORQUANT_CLI_ONNX_LAYERS_H_
#define TENSORQUANT_CLI_ONNX_LAYERS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// The layers of an ONNX model as its file tells them, without running it.
namespace tensorquant::cli {

struct OnnxLayer {
  std::string name, operator_type;
  std::string node;                  // its name in the file
  std::string weight, bias, output;  // the names of these tensors; "" for none
  bool moves = false;                // moves numbers alone: rules do not hit it
  bool sums_integers = false;        // exactly, unless --sums float
};

// Whether a --model is a file of that kind and not a name of a network of ours.
bool is_onnx_file(const std::string& model);

// Those that rules hit, and those that only move numbers. Error as of read_model() and
// make_graph().
std::vector<OnnxLayer> read_onnx_layers(const std::string& path);

std::string to_table(const std::vector<OnnxLayer>& layers);
nlohmann::ordered_json to_json(const OnnxLayer& layer);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_ONNX_LAYERS_H_
