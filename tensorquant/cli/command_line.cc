#include "tensorquant/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/numeric_libraries.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant::cli {
namespace {

constexpr int kWorkFailed = 1;
constexpr int kCommandLineWrong = 2;

// One line on stderr, whatever the message.
int report(std::string message, int code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "tensorquant: %s\n", message.c_str());
  return code;
}

// CLI11 would only say that a command is missing.
void check_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  const std::string given = argv[1];
  if (std::find(names.begin(), names.end(), given) != names.end()) return;
  const std::string nearest = nearest_name(given, names);
  throw CLI::ValidationError(
      "unknown command '" + given + "'" +
      (nearest.empty() ? "; --help lists them" : ", did you mean '" + nearest + "'?"));
}

}  // namespace

void add_commands(CLI::App& app, Workers* ranks) {
  add_list(app);
  add_describe(app);
  add_quantize(app);
  add_matmul(app);
  add_explain(app);
  add_export(app);
  add_calibrate(app);
  add_train(app);
  add_evaluate(app);
  add_compare(app);
  add_cost(app);
  add_sensitivity(app, ranks);
  add_search(app, ranks);
  add_sweep(app, ranks);
  add_results(app);
  add_report(app);
  add_bench(app);
}

int run_command_line(int argc, char** argv, Workers* ranks) {
  CLI::App app("Emulates number formats in neural networks, bit for bit.", "tensorquant");
  app.set_version_flag("--version", [] {
    const std::string text = TENSORQUANT_VERSION "\n" + to_text(numeric_libraries(), 10);
    return text.substr(0, text.size() - 1);  // CLI11 ends the line
  });
  app.require_subcommand(1);
  app.footer(
      "'tensorquant COMMAND --help' explains a command. Exit status: 0 success, 1 failure, 2 wrong "
      "command line. Numbers are decimal, as Python's int() and float() read them.");
  add_commands(app, ranks);
  try {
    check_command(app, argc, argv);
    std::vector<std::string> arguments = arguments_of(argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return report("stdout: cannot write", kWorkFailed);
    }
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help, --version
  } catch (const CLI::ParseError& e) {
    return report(e.what(), kCommandLineWrong);
  } catch (const std::exception& e) {
    return report(e.what(), kWorkFailed);
  }
  return 0;
}

}  // namespace tensorquant::cli
