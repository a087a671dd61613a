#include "tensorquant/base/kept_memory.h"
#include "tensorquant/cli/command_line.h"

int main(int argc, char** argv) {
  tensorquant::keep_freed_memory();
  return tensorquant::cli::run_command_line(argc, argv);
}
