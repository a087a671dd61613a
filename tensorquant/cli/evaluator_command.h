#ifndef TENSORQUANT_CLI_EVALUATOR_COMMAND_H_
#define TENSORQUANT_CLI_EVALUATOR_COMMAND_H_

#include <filesystem>
#include <string>
#include <vector>

namespace tensorquant::cli {

// The command line of an evaluator: this program, whatever quantizers it has registered, with
// `evaluate --requests`.
inline std::vector<std::string> evaluator_command(int threads) {
  return {std::filesystem::read_symlink("/proc/self/exe").string(), "evaluate", "--requests",
          "--threads", std::to_string(threads)};
}

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_EVALUATOR_COMMAND_H_
