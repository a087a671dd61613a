#include "tensorquant/cli/command_line.h"

int main(int argc, char** argv) { return tensorquant::cli::run_command_line(argc, argv); }
