#ifndef TENSORQUANT_CLI_SUGGEST_H_
#define TENSORQUANT_CLI_SUGGEST_H_

#include <string>

#include "tensorquant/cli/model_options.h"

namespace tensorquant::cli {

// --suggest, --checkpoint, --data, --limit, --output, --threads.
struct SuggestOptions {
  void add_to(CLI::App& command, CLI::Option* model);

  int bits = 0;  // 0: nothing to suggest
  std::string checkpoint, output;
  DataOptions data;
  ThreadOptions threads;
};

// Writes a three-in-one map with `bits` bits for every layer, which covers all values seen.
void suggest(const std::string& model, SuggestOptions options);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_SUGGEST_H_
