#include <algorithm>
#include <string>

#include "tensorquant/base/kept_memory.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/cli/command_line.h"
#include "tensorquant/cli/evaluator_command.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/mpi/run_ranks.h"

namespace {

// Evaluators are started before the command line is read: their threads must be known. The last
// number counts; a wrong one is rank 0's to tell.
int threads_of(int argc, char** argv) {
  using namespace tensorquant;
  const std::string name = "--threads";
  int threads = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const char* value = nullptr;
    if (argument == name && i + 1 < argc) value = argv[i + 1];
    if (argument.starts_with(name + "=")) value = argv[i] + name.size() + 1;
    if (value != nullptr) threads = cli::read_whole<int>(value).value_or(threads);
  }
  return std::max(threads, 1);
}

}  // namespace

// The program `tensorquant-mpi`: `tensorquant`, whose sensitivity, search and sweep evaluate on the
// ranks of an MPI job. Its evaluators are the program itself, without MPI.
int main(int argc, char** argv) {
  using namespace tensorquant;
  keep_freed_memory();
  if (argc > 1 && std::string(argv[1]) == "evaluate") return cli::run_command_line(argc, argv);
  const int threads = threads_of(argc, argv);
  set_num_threads(threads);  // of a rank that is alone, too
  return run_ranks(argc, argv, cli::evaluator_command(threads),
                   [&](Workers* ranks) { return cli::run_command_line(argc, argv, ranks); });
}
