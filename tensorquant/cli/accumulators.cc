#include "tensorquant/cli/accumulators.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/steps.h"
#include "tensorquant/models/layer_costs.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

constexpr int kMostBits = 53;  // of fixed point in arithmetic

RuleValue rule_of(const Accumulator& one) {
  RuleValue value;
  value.product = make_quantizer("none");
  value.accumulator =
      make_quantizer("nearest," + std::to_string(one.bits) + "," + std::to_string(*one.fraction));
  return value;
}

std::optional<int> exact_fraction(const Operand& weight, const Operand& input) {
  if (!weight.fixed_point || !input.fixed_point) return std::nullopt;
  return weight.fixed_point->fraction + input.fixed_point->fraction;
}

void run_all(const ClassifierRuns& runs, const Interrupt& interrupt) {
  const at::NoGradGuard no_grad;
  runs.model->eval();
  for (std::size_t batch = 0; batch < runs.batches; ++batch) {
    set_inference_step(*runs.model, static_cast<std::uint32_t>(batch));
    runs.logits(runs.inputs(batch));
    interrupt.check();
  }
  set_inference_step(*runs.model, 0);
}

}  // namespace

Accumulators wide_accumulators(SearchSetup& setup, const CostFunction& cost, const Override& maps,
                               std::optional<int> fraction) {
  torch::nn::Module& model = setup.model->module();
  apply(model, maps);
  const std::vector<LayerFormats> formats = layer_formats(model, setup.facts);
  const MapCost costs = cost(formats);
  const auto worst_case = worst_case_accumulators(model, setup.facts, formats, costs);
  strip(model);
  Accumulators all;
  for (std::size_t i = 0; i < setup.facts.size(); ++i) {
    const LayerFacts& facts = setup.facts[i];
    if (facts.macs == 0) continue;
    Accumulator& one = all.emplace_back();
    one.layer = facts.layer;
    one.macs = facts.macs;
    const std::optional<int> exact = exact_fraction(formats[i].weight, costs.layers[i].input);
    one.fraction = fraction ? fraction : exact;
    // That of other products than the accumulator's own would be of another unit.
    if (one.fraction == exact) one.worst_case = worst_case[i];
    one.bits = kMostBits;
  }
  return all;
}

Override with_accumulators(Override maps, const Accumulators& accumulators) {
  for (const Accumulator& one : accumulators) {
    if (one.fraction) maps.intrinsic.add("=" + one.layer, rule_of(one));
  }
  return maps;
}

void see_sums(SearchSetup& setup, const SearchedSamples& samples, const Override& maps,
              Accumulators& accumulators) {
  const Override wide = with_accumulators(maps, accumulators);
  const std::string key =
      ordered_json{{"data", samples.fingerprint}, {"maps", to_json(wide)}, {"ranges", true}}.dump();
  std::optional<std::string> record = setup.store->find(key);
  if (!record) {
    torch::nn::Module& model = setup.model->module();
    apply(model, wide);
    record_ranges(model);
    run_all(samples.runs, setup.interrupt);
    ordered_json bits = ordered_json::object();
    for (const LayerRangeReport& layer : ranges(model)) {
      const auto* const format = std::get_if<FixedPoint>(&layer.arithmetic.accumulator);
      if (format != nullptr) bits[layer.layer] = layer.report.sufficient_bits(format->fraction);
    }
    record_ranges(model, false);
    strip(model);
    record = ordered_json{{"sufficient_bits", bits}, {"maps", to_json(wide)}}.dump();
    setup.store->put(key, *record);
  }
  try {
    const ordered_json bits = ordered_json::parse(*record).at("sufficient_bits");
    for (Accumulator& one : accumulators) {
      if (!one.fraction) continue;
      one.seen = bits.at(one.layer).get<int>();
      one.bits = std::min(one.seen, kMostBits);
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error("the store's record of '" + key + "': " + error.what());
  }
}

bool narrow(const std::function<LogitMetrics(const Override&)>& evaluate, const Override& maps,
            double margin, Accumulators& accumulators) {
  std::vector<std::size_t> order, numbers;
  std::vector<int> bits;
  for (std::size_t i = 0; i < accumulators.size(); ++i) {
    if (!accumulators[i].fraction) continue;
    order.push_back(numbers.size());
    numbers.push_back(i);
    bits.push_back(accumulators[i].bits);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return accumulators[numbers[a]].macs > accumulators[numbers[b]].macs;
  });
  const auto set = [&](std::span<const int> widths) {
    for (std::size_t i = 0; i < widths.size(); ++i) accumulators[numbers[i]].bits = widths[i];
  };
  const auto measure = [&](std::span<const int> widths) {
    set(widths);
    const LogitMetrics metrics = evaluate(with_accumulators(maps, accumulators));
    return Measurement{metrics.kl, metrics.loss(), metrics.loss_error()};
  };
  const AccumulatorWidths found = narrow_accumulators(bits, order, measure, margin);
  set(found.bits);
  return found.holds;
}

ordered_json to_json(const Accumulators& accumulators) {
  ordered_json rows = ordered_json::array();
  for (const Accumulator& one : accumulators) {
    const auto known = [&](int bits) { return one.fraction ? ordered_json(bits) : ordered_json(); };
    rows.push_back({{"layer", one.layer},
                    {"macs", one.macs},
                    {"fraction", or_null(one.fraction)},
                    {"given", known(one.bits)},
                    {"seen", known(one.seen)},
                    {"worst_case", or_null(one.worst_case)}});
  }
  return rows;
}

std::string table_of_accumulators(const ordered_json& report) {
  std::vector<std::vector<std::string>> rows;
  for (const ordered_json& one : report) {
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(one["layer"].get<std::string>());
    for (const char* const name : {"macs", "fraction", "given", "seen", "worst_case"}) {
      row.push_back(one[name].is_null() ? "" : one[name].dump());
    }
  }
  return format_table({"layer", "MACs", "fraction", "accumulator bits", "seen", "worst case"},
                      rows);
}

}  // namespace tensorquant::cli
