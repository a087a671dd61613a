#ifndef TENSORQUANT_CLI_COMMAND_LINE_H_
#define TENSORQUANT_CLI_COMMAND_LINE_H_

namespace tensorquant {
class Workers;
}

namespace tensorquant::cli {

// The program `tensorquant`. A program of your own that registers quantizers first and then calls
// this has the whole command line with them. Returns the exit code: 0 good, 1 the work failed, 2
// the command line was wrong. `ranks` of an MPI job, if there are any, evaluate for the commands
// that evaluate many maps.
int run_command_line(int argc, char** argv, Workers* ranks = nullptr);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_COMMAND_LINE_H_
