#ifndef TENSORQUANT_CLI_COMMANDS_H_
#define TENSORQUANT_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>

namespace tensorquant {
class Workers;
}

namespace tensorquant::cli {

// One function a subcommand: it declares the subcommand's options and its callback. A callback
// throws CLI::ValidationError where the command line is wrong, and an Error where the work fails.
// `ranks` of an MPI job evaluate in this process' place; null: there are none.
void add_list(CLI::App& app);
void add_describe(CLI::App& app);
void add_quantize(CLI::App& app);
void add_matmul(CLI::App& app);
void add_calibrate(CLI::App& app);
void add_explain(CLI::App& app);
void add_export(CLI::App& app);
void add_train(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_compare(CLI::App& app);
void add_cost(CLI::App& app);
void add_sensitivity(CLI::App& app, Workers* ranks);
void add_search(CLI::App& app, Workers* ranks);
void add_sweep(CLI::App& app, Workers* ranks);
void add_results(CLI::App& app);
void add_report(CLI::App& app);
void add_bench(CLI::App& app);

// All of them.
void add_commands(CLI::App& app, Workers* ranks);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_COMMANDS_H_
