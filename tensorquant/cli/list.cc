#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/quantizers/registry.h"

namespace tensorquant::cli {
namespace {

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
  CLI::App* command = app.add_subcommand("list", "List all quantizers");
  auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "Print JSON");
  command->callback([as_json] { list(*as_json); });
}

}  // namespace tensorquant::cli
