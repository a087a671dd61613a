#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/maps/rule.h"
#include "tensorquant/quantizers/hardware.h"
#include "tensorquant/quantizers/registry.h"

namespace tensorquant::cli {
namespace {

// The value of an intrinsic map that the name stands for.
std::string value_of(const Hardware& hardware) {
  return to_json(string_value(hardware.name, MapKind::intrinsic), MapKind::intrinsic);
}

void list_hardware(bool as_json) {
  if (as_json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const Hardware& hardware : hardware_list()) {
      all.push_back({{"name", hardware.name},
                     {"summary", hardware.summary},
                     {"value", nlohmann::ordered_json::parse(value_of(hardware))}});
    }
    print(std::move(all));
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Hardware& hardware : hardware_list()) {
    rows.push_back({std::string(hardware.name), std::string(hardware.summary)});
    rows.push_back({"", value_of(hardware)});
  }
  std::printf(
      "%s", format_table({"NAME", "ARITHMETIC, AND ITS VALUE IN AN INTRINSIC MAP"}, rows).c_str());
}

void list(bool as_json) {
  if (as_json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const QuantizerInfo& info : list_quantizers()) {
      all.push_back({{"name", info.name}, {"usage", info.usage}, {"summary", info.summary}});
    }
    print(std::move(all));
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const QuantizerInfo& info : list_quantizers()) {
    rows.push_back({info.name, info.summary});
    rows.push_back({"", info.usage});
  }
  std::printf("%s", format_table({"NAME", "RESULT FOR x, AND HOW TO WRITE IT"}, rows).c_str());
}

}  // namespace

void add_list(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "list", "List all quantizers, or the hardware whose arithmetic has a name");
  struct Options {
    bool hardware = false, as_json = false;
  };
  auto options = std::make_shared<Options>();
  command->add_flag("--hardware", options->hardware,
                    "List the names that stand for arithmetic in intrinsic maps");
  command->add_flag("--json", options->as_json, "Print JSON");
  command->callback(
      [options] { options->hardware ? list_hardware(options->as_json) : list(options->as_json); });
}

}  // namespace tensorquant::cli
