#ifndef TENSORQUANT_CLI_JOB_OPTIONS_H_
#define TENSORQUANT_CLI_JOB_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "tensorquant/cli/model_options.h"
#include "tensorquant/sweep/workers.h"

namespace tensorquant::cli {

// Who evaluates: this process, --jobs processes, or the ranks of an MPI job.
struct JobOptions {
  // `ranks` may be null: there are none.
  void add_to(CLI::App& command, Workers* ranks);
  // Sets `threads` to 1 where many evaluate and the user did not say. Starts the processes. Throws
  // CLI::ValidationError.
  void set_up(ThreadOptions& threads);
  // Null: this process.
  Workers* workers() const { return ranks_ != nullptr ? ranks_ : processes_.get(); }

  std::size_t jobs = 0;  // 0: this process
  bool retry = false;

 private:
  const CLI::App* command_ = nullptr;
  Workers* ranks_ = nullptr;
  std::unique_ptr<Workers> processes_;
};

// --shard I/N: the I-th of N equal parts of a list of tasks.
struct ShardOption {
  CLI::Option* add_to(CLI::App& command);
  // Throws CLI::ValidationError.
  void read();
  bool is_whole() const { return count == 1; }
  bool has(std::size_t task) const { return task % count == index; }

  std::string text;
  std::size_t index = 0, count = 1;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_JOB_OPTIONS_H_
