#ifndef TENSORQUANT_CLI_EVALUATE_ONNX_H_
#define TENSORQUANT_CLI_EVALUATE_ONNX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/cli/model_options.h"

namespace tensorquant::cli {

// What evaluate does with an ONNX file: computes its outputs for given inputs, in float and under
// the maps, and compares the two.
struct OnnxEvaluation {
  void add_to(CLI::App& command);

  std::vector<std::string> inputs;  // NAME=FILE.npy
  std::string outputs;              // folder; empty: none is written
  std::string sums = "exact";       // or "float": see Sums
};

void evaluate_onnx(const std::string& model, const OnnxEvaluation& options, const MapOptions& maps,
                   std::uint64_t seed, bool as_json);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_EVALUATE_ONNX_H_
