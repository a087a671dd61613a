#include "tensorquant/cli/job_options.h"

#include <optional>

#include "tensorquant/cli/evaluator_command.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/sweep/local_workers.h"

namespace tensorquant::cli {

void JobOptions::add_to(CLI::App& command, Workers* ranks) {
  command_ = &command;
  ranks_ = ranks;
  add_number(command, "--jobs", jobs,
             "Evaluate in this many processes, of one thread each if --threads does not say more; "
             "one that dies is started anew",
             {1, 1024});
  command.add_flag("--retry", retry, "Evaluate once more what has an error in the store");
}

void JobOptions::set_up(ThreadOptions& threads) {
  if (ranks_ != nullptr && jobs > 0) throw CLI::ValidationError("--jobs", "is not for MPI's ranks");
  if (ranks_ == nullptr && jobs == 0) return;
  if (command_->count("--threads") == 0) threads.threads = 1;
  if (ranks_ == nullptr) {
    processes_ = std::make_unique<LocalWorkers>(jobs, evaluator_command(threads.threads));
  }
}

CLI::Option* ShardOption::add_to(CLI::App& command) {
  return command.add_option("--shard", text,
                            "I/N: evaluate the I-th of N parts of the maps and print no table; "
                            "without it, what the parts have stored is used");
}

void ShardOption::read() {
  if (text.empty()) return;
  const std::size_t slash = text.find('/');
  const auto part = read_whole<std::size_t>(text.substr(0, slash));
  const auto parts =
      slash == std::string::npos ? std::nullopt : read_whole<std::size_t>(text.substr(slash + 1));
  if (!part || !parts || *part < 1 || *part > *parts) {
    throw CLI::ValidationError("--shard", "'" + text + "' is not I/N with I from 1 to N");
  }
  index = *part - 1;
  count = *parts;
}

}  // namespace tensorquant::cli
