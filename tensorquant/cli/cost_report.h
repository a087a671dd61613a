#ifndef TENSORQUANT_CLI_COST_REPORT_H_
#define TENSORQUANT_CLI_COST_REPORT_H_

#include <CLI/CLI.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tensorquant/search/cost.h"
#include "tensorquant/search/technology.h"

namespace tensorquant::cli {

// --technology.
class TechnologyOption {
 public:
  void add_to(CLI::App& command);
  // Reads the file, if it is one. Before technology().
  void read();
  const Technology& technology() const { return technology_; }

 private:
  std::string name_ = "45nm";
  Technology technology_;
};

// {"bits": ..., "peak": ..., "ebops": null, ...}: the totals.
nlohmann::ordered_json to_json(const MapCost& cost);

// The accumulator bits of layers that `evaluate --ranges --json` found sufficient, in its report;
// nothing where the path is empty.
std::map<std::string, int> read_sufficient_bits(const std::string& path);

// "12.3 %"; "" of nothing.
std::string percent_of(double part, double all);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_COST_REPORT_H_
