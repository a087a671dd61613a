#ifndef TENSORQUANT_BENCH_COMMAND_LINE_H_
#define TENSORQUANT_BENCH_COMMAND_LINE_H_

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>

#include "tensorquant/measure/processor.h"

namespace tensorquant::bench {

// What every benchmark can be asked for.
struct CommonOptions {
  int rounds;
  bool as_json = false;
};

inline void add_common_options(CLI::App& app, CommonOptions& options) {
  app.add_option("--rounds", options.rounds, "Times that each contender is measured, in turn")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_flag("--json", options.as_json, "Print JSON, which bench/compare.py tells apart");
}

// Parses the command line and runs the benchmark; the processor stands above its table. Returns the
// program's code: 1 where the benchmark failed, 2 where the command line is wrong; why stands on
// stderr.
inline int run(CLI::App& app, int argc, char** argv, const CommonOptions& options,
               const std::function<void()>& benchmark) {
  const auto report = [&](const std::exception& error, int code) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return code;
  };
  try {
    app.parse(argc, argv);
    if (!options.as_json) {
      std::printf("Processor: %s\n\n", measure::processor_name().c_str());
    }
    benchmark();
    return 0;
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help
  } catch (const CLI::ParseError& error) {
    return report(error, 2);
  } catch (const std::exception& error) {
    return report(error, 1);
  }
}

}  // namespace tensorquant::bench

#endif  // TENSORQUANT_BENCH_COMMAND_LINE_H_
