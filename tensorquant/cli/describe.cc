#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/quantizer_option.h"
#include "tensorquant/cli/range_table.h"
#include "tensorquant/formats/format.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/quantizer_report.h"
#include "tensorquant/quantizers/scale_text.h"
#include "tensorquant/quantizers/spec_reader.h"
#include "tensorquant/quantizers/storage.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kFewValues = 64;

struct DescribeOptions {
  std::string spec;
  std::vector<double> inputs;
  std::string type = "float32";
  std::uint64_t seed = 0;
  bool as_json = false;
};

struct Result {
  double x, y;
};

struct Outcome {
  std::vector<Result> results;
  QuantizerReport report;
};

template <class T>
Outcome quantize_inputs(const Quantizer& quantizer, const DescribeOptions& options) {
  std::vector<T> x(options.inputs.begin(), options.inputs.end());
  std::vector<T> y(x.size());
  const std::size_t count = x.size();
  const Layout one_line = {.channel = {1, 1, count}, .reduction = {1, count, 1}};
  const Context context = {.seed = options.seed, .layout = one_line};
  quantizer.quantize(std::span<const T>(x), std::span<T>(y), context);
  Outcome outcome = {{}, report_of(quantizer, std::span<const T>(x), context)};
  for (std::size_t i = 0; i < x.size(); ++i) outcome.results.push_back({x[i], y[i]});
  return outcome;
}

// null says that the format sets no bound.
ordered_json bound(double x) { return std::isfinite(x) ? ordered_json(x) : ordered_json(nullptr); }

void describe_scale(const Scaled& format, const std::optional<Storage>& bits, ordered_json& json,
                    std::vector<std::vector<std::string>>& rows) {
  const Scale& scale = format.scale;
  const bool has_blocks = scale.per == Scale::Per::block;
  const std::string of =
      has_blocks ? "block of " + std::to_string(scale.block) : std::string(granularity_text(scale));
  rows.push_back({"scale", scale_text(scale) + ", one for each " + of});
  json["scale"] = {{"rule", scale_text(scale)}, {"per", granularity_text(scale)}};
  if (has_blocks) json["scale"]["block"] = scale.block;
  if (!bits) return;
  json["scale"]["bits"] = bits->scale_bits;
  json["bits_per_value"] = or_null(bits->bits_per_value());
}

void describe(const DescribeOptions& options) {
  const auto quantizer = quantizer_of(options.spec);
  const auto [results, report] = options.type == "float32"
                                     ? quantize_inputs<float>(*quantizer, options)
                                     : quantize_inputs<double>(*quantizer, options);
  ordered_json json = {{"quantizer", quantizer->spec()}, {"type", options.type}};
  std::vector<std::vector<std::string>> rows = {{"quantizer", quantizer->spec()}};
  if (const Format* described = quantizer->format()) {
    const bool single = options.type == "float32";
    // Of a format that finds its scales the numbers before they are multiplied.
    const auto* scaled = std::get_if<Scaled>(described);
    const bool in_units = scaled != nullptr && finds_scales(*scaled);
    const Format format = in_units ? as_format(scaled->element) : *described;
    const FormatFacts f = single ? facts<float>(format) : facts<double>(format);
    const std::vector<double> all =
        single ? values<float>(format, kFewValues) : values<double>(format, kFewValues);
    json["lowest"] = bound(f.lowest);
    json["highest"] = bound(f.highest);
    json["step"] = or_null(f.step);
    json["smallest_positive"] = or_null(f.smallest_positive);
    json["count"] = or_null(f.count);
    if (!all.empty()) json["values"] = all;
    const std::string own = "that of " + options.type;
    rows.push_back({"range", std::isfinite(f.highest)
                                 ? shortest_decimal(f.lowest) + " to " + shortest_decimal(f.highest)
                                 : own});
    rows.push_back({"step", f.step ? shortest_decimal(*f.step) : "grows with the magnitude"});
    rows.push_back({"smallest > 0", f.smallest_positive ? shortest_decimal(*f.smallest_positive)
                                                        : "none of its own"});
    rows.push_back({"values", f.count ? std::to_string(*f.count) : own});
    if (in_units) rows[1][1] += ", times the scale";
    const std::optional<Storage> bits =
        single ? storage<float>(*described) : storage<double>(*described);
    json["bits"] = bits ? ordered_json(bits->value_bits) : ordered_json(nullptr);
    if (in_units) describe_scale(*scaled, bits, json, rows);
    if (bits) rows.push_back({"bits a value", to_string(*bits)});
    if (!all.empty()) {
      std::string listed;
      for (double value : all) listed += (listed.empty() ? "" : " ") + shortest_decimal(value);
      rows.push_back({"", listed});
    }
  }
  rows.push_back({"random", quantizer->is_random() ? "yes" : "no"});
  json["random"] = quantizer->is_random();
  if (!results.empty()) {
    const ordered_json counts = to_json(PlaceReport{"", quantizer, report});
    for (const char* key : {"saturated", "saturated_share", "became_zero", "became_zero_share"}) {
      json[key] = counts[key];
    }
    rows.push_back({"saturated", saturated_text(report)});
    rows.push_back({"became zero", became_zero_text(report)});
  }
  json["results"] = ordered_json::array();
  std::vector<std::vector<std::string>> result_rows;
  for (const auto& [x, y] : results) {
    const double error = y - x;
    json["results"].push_back({{"x", x}, {"y", y}, {"error", error}});
    result_rows.push_back({shortest_decimal(x), shortest_decimal(y), shortest_decimal(error)});
  }
  if (options.as_json) {
    print(std::move(json));
    return;
  }
  for (const auto& row : rows) std::printf("%-14s%s\n", row[0].c_str(), row[1].c_str());
  if (!result_rows.empty()) {
    std::printf("\n%s", format_table({"x", "result", "error"}, result_rows).c_str());
  }
}

}  // namespace

void add_describe(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "describe", "Show a quantizer's range, step and values, and what it makes of numbers");
  auto options = std::make_shared<DescribeOptions>();
  command->add_option("SPEC", options->spec, "Quantizer string, for example nearest,8,4")
      ->required();
  add_numbers(*command, "X", options->inputs, "Numbers to quantize, together as one tensor");
  command->add_option("--type", options->type, "Type of the tensor")
      ->check(CLI::IsMember({"float32", "float64"}))
      ->capture_default_str();
  add_number(*command, "--seed", options->seed, "Seed of random rounding")->capture_default_str();
  command->add_flag("--json", options->as_json, "Print JSON");
  command->callback([options] { describe(*options); });
}

}  // namespace tensorquant::cli
