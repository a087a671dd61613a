#ifndef TENSORQUANT_CLI_COMMAND_LINE_H_
#define TENSORQUANT_CLI_COMMAND_LINE_H_

namespace tensorquant::cli {

// The program `tensorquant`. A program of your own that registers quantizers first and then calls
// this has the whole command line with them. Returns the exit code: 0 good, 1 the work failed, 2
// the command line was wrong.
int run_command_line(int argc, char** argv);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_COMMAND_LINE_H_
