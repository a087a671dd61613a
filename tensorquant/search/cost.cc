#include "tensorquant/search/cost.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/search/accumulator_width.h"

namespace tensorquant {
namespace {

constexpr int kUnknownAccumulator = 32;

// Where a layer's output is read, by indices into the facts.
struct Flow {
  const std::vector<std::vector<std::size_t>>&sources, &readers;
  const std::vector<bool>& is_repeated;
};

const Operand& wider(const Operand& a, const Operand& b) {
  return b.stored_bits > a.stored_bits ? b : a;
}

// The costs of one map.
class CountedMap {
 public:
  CountedMap(std::span<const LayerFacts> facts, std::span<const LayerFormats> formats,
             const Flow& flow, const Operand& model_input)
      : facts_(facts), formats_(formats), flow_(flow), model_input_(model_input) {
    for (std::size_t i = 0; i < facts.size(); ++i) {
      outputs_.push_back(formats[i].output ? *formats[i].output
                                           : (facts[i].moves_values ? input_of(i) : Operand{}));
    }
  }

  LayerCost layer(std::size_t i) const {
    const LayerFacts& facts = facts_[i];
    const LayerFormats& formats = formats_[i];
    LayerCost cost;
    const double weight_bits = static_cast<double>(facts.weights) * formats.weight.stored_bits;
    const double bias_bits = static_cast<double>(facts.biases) * formats.bias.stored_bits;
    const double parameter_bits = weight_bits + bias_bits;
    cost.parameter_bits = flow_.is_repeated[i] ? 0 : parameter_bits;
    if (facts.macs == 0) return cost;
    cost.input = input_of(i);
    cost.input_bits = static_cast<double>(facts.inputs) * cost.input.stored_bits;
    const std::size_t stored = stored_as(i);
    cost.output_bits = static_cast<double>(facts_[stored].outputs) * outputs_[stored].stored_bits;
    cost.traffic = parameter_bits + cost.input_bits + cost.output_bits;
    const double input_bits = cost.input.bits;
    cost.bops = static_cast<double>(facts.macs) * formats.weight.bits * input_bits;
    if (formats.weights) {
      const auto uses = static_cast<double>(facts.uses());
      const auto zeros = static_cast<double>(formats.weights->zeros);
      cost.bops_without_zeros = cost.bops - zeros * uses * formats.weight.bits * input_bits;
      cost.ebops = static_cast<double>(formats.weights->span_bits) * input_bits * uses;
      if (facts.biases > 0) *cost.ebops += static_cast<double>(facts.outputs) * formats.bias.bits;
    }
    return cost;
  }

  // pJ of the layer's products and sums.
  double arithmetic_energy(std::size_t i, const LayerCost& cost,
                           const Technology& technology) const {
    if (facts_[i].macs == 0) return 0;
    const LayerFormats& formats = formats_[i];
    const bool is_float = formats.weight.is_float || cost.input.is_float;
    std::optional<int> accumulator = formats.accumulator;
    if (!accumulator) accumulator = worst_case_bits(facts_[i].terms, formats.weight, cost.input);
    const double add = (is_float ? technology.float_add : technology.integer_add)
                           .at(accumulator.value_or(kUnknownAccumulator));
    return static_cast<double>(facts_[i].macs) *
           (technology.multiply(formats.weight, cost.input) + add);
  }

 private:
  Operand input_of(std::size_t i) const {
    if (flow_.sources[i].empty()) return model_input_;
    Operand input = outputs_[flow_.sources[i].front()];
    for (const std::size_t source : flow_.sources[i]) input = wider(input, outputs_[source]);
    return input;
  }

  // The layer whose output is written to memory in place of this one's.
  std::size_t stored_as(std::size_t i) const {
    while (!formats_[i].output && flow_.readers[i].size() == 1) {
      const std::size_t reader = flow_.readers[i].front();
      if (facts_[reader].macs > 0) break;
      i = reader;
    }
    return i;
  }

  std::span<const LayerFacts> facts_;
  std::span<const LayerFormats> formats_;
  Flow flow_;
  Operand model_input_;
  std::vector<Operand> outputs_;
};

void add(const std::optional<double>& part, std::optional<double>& sum) {
  sum = part && sum ? std::optional(*sum + *part) : std::nullopt;
}

struct Named {
  std::string name;
  std::optional<double> (*value)(const MapCost&);
};

const std::vector<Named>& named_costs() {
  using Number = std::optional<double>;
  static const std::vector<Named> costs = {
      {"bits", [](const MapCost& c) { return Number(c.bits); }},
      {"traffic", [](const MapCost& c) { return Number(c.traffic); }},
      {"bops", [](const MapCost& c) { return Number(c.bops); }},
      {"ebops", [](const MapCost& c) { return c.ebops; }},
      {"energy", [](const MapCost& c) { return Number(c.energy); }}};
  return costs;
}

void require_possible(const LayerFacts& facts) {
  const std::string layer = "layer '" + facts.layer + "': ";
  for (const std::int64_t count :
       {facts.macs, facts.terms, facts.weights, facts.biases, facts.inputs, facts.outputs}) {
    if (count < 0) throw Error(layer + "a count is " + std::to_string(count));
  }
  if (facts.macs > 0 && (facts.terms < 1 || facts.weights < 1)) {
    throw Error(layer + "multiply-accumulates need the number of terms and that of weights");
  }
}

}  // namespace

CostFunction::CostFunction(std::vector<LayerFacts> facts, Technology technology,
                           Operand model_input)
    : facts_(std::move(facts)),
      technology_(std::move(technology)),
      model_input_(std::move(model_input)),
      sources_(facts_.size()),
      readers_(facts_.size()) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    for (const std::string& name : facts_[i].sources) {
      const auto source = index.find(name);
      if (source == index.end()) {
        throw Error("layer '" + facts_[i].layer + "' reads '" + name + "', which is not before it");
      }
      sources_[i].push_back(source->second);
      readers_[source->second].push_back(i);
    }
    require_possible(facts_[i]);
    is_repeated_.push_back(!index.insert_or_assign(facts_[i].layer, i).second);
  }
}

MapCost CostFunction::operator()(std::span<const LayerFormats> formats) const {
  if (facts_.size() != formats.size()) {
    throw Error("there are " + std::to_string(facts_.size()) + " layers and formats for " +
                std::to_string(formats.size()));
  }
  const CountedMap model(facts_, formats, {sources_, readers_, is_repeated_}, model_input_);
  MapCost total;
  total.bops_without_zeros = 0;
  total.ebops = 0;
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    const LayerCost& layer = total.layers.emplace_back(model.layer(i));
    total.bits += layer.parameter_bits;
    total.peak = std::max(total.peak, layer.input_bits + layer.output_bits);
    total.traffic += layer.traffic;
    total.bops += layer.bops;
    if (facts_[i].macs == 0) continue;
    add(layer.bops_without_zeros, total.bops_without_zeros);
    add(layer.ebops, total.ebops);
  }
  constexpr double kKibibyte = 8 * 1024;
  const double access = technology_.memory((total.bits + total.peak) / kKibibyte) / 64;
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    LayerCost& layer = total.layers[i];
    layer.energy = model.arithmetic_energy(i, layer, technology_) + layer.traffic * access;
    total.energy += layer.energy;
  }
  return total;
}

const std::vector<std::string>& cost_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Named& cost : named_costs()) all.push_back(cost.name);
    return all;
  }();
  return names;
}

std::optional<double> known_cost(const MapCost& cost, std::string_view name) {
  for (const Named& known : named_costs()) {
    if (known.name == name) return known.value(cost);
  }
  throw Error("unknown cost '" + std::string(name) + "'");
}

double cost_named(const MapCost& cost, std::string_view name) {
  if (const std::optional<double> value = known_cost(cost, name)) return *value;
  throw Error("ebops need the weights' codes, which scales that are no powers of two hide");
}

}  // namespace tensorquant
