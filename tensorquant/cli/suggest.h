#ifndef TENSORQUANT_CLI_SUGGEST_H_
#define TENSORQUANT_CLI_SUGGEST_H_

#include <string>

#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/onnx_data.h"

namespace tensorquant::cli {

// --suggest, --checkpoint, --data, --limit, --output, --threads, and the data of ONNX files.
struct SuggestOptions {
  void add_to(CLI::App& command, CLI::Option* model);

  int bits = 0;  // 0: nothing to suggest
  std::string checkpoint, output;
  DataOptions data;
  OnnxDataOptions onnx;
  ThreadOptions threads;
};

// Writes a three-in-one map with `bits` bits for every layer, which covers all values seen.
void suggest(const std::string& model, const NamesOption& names, const SuggestOptions& options);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_SUGGEST_H_
