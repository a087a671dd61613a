#ifndef TENSORQUANT_CLI_COST_REPORT_H_
#define TENSORQUANT_CLI_COST_REPORT_H_

#include <CLI/CLI.hpp>
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

// "12.3 %"; "" of nothing.
std::string percent_of(double part, double all);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_COST_REPORT_H_
