#ifndef TENSORQUANT_CLI_EVALUATE_ONNX_H_
#define TENSORQUANT_CLI_EVALUATE_ONNX_H_

#include <string>
#include <vector>

#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/onnx_data.h"

namespace tensorquant::cli {

// What evaluate does with an ONNX file: computes its outputs for given inputs, in float and under
// the maps, and compares the two; and the first output with labels.
struct OnnxEvaluation {
  void add_to(CLI::App& command);
  static std::vector<const char*> names();  // of these options

  OnnxDataOptions data;
  NamesOption names_of_nodes;
  std::string outputs;         // folder; empty: none is written
  std::string metric;          // empty: what suits the labels
  std::string sums = "exact";  // or "float": see Sums
  bool layers = false;

  // From the command's own options.
  struct Command {
    std::string model, trace;
    OnnxDataOptions::Given data;
    MapOptions maps;
    bool ranges = false;
    bool as_json = false;
  };
  void run(const Command& command) const;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_EVALUATE_ONNX_H_
