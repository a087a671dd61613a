#include "tensorquant/torch/model.h"

#include <ATen/core/Tensor.h>
#include <torch/nn.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <variant>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/maps/place.h"
#include "tensorquant/torch/parameter_owners.h"
#include "tensorquant/torch/q_layer.h"
#include "tensorquant/torch/tensor_ops.h"

namespace tensorquant {
namespace {

constexpr const char* kInput = "input";

// A leaf of the model, or a quantizable layer.
struct Layer {
  std::vector<std::string> names;  // the first is its name
  torch::nn::Module* module;
  QuantizableLayer* twin;  // null: a plain libtorch layer
  const std::string& name() const { return names.front(); }
};

class LayerWalk {
 public:
  explicit LayerWalk(torch::nn::Module& model) { visit(model, "", /*inside_twin=*/false); }
  std::vector<Layer> layers;

 private:
  // The modules inside a quantizable layer belong to it, unless they are quantizable themselves.
  void visit(torch::nn::Module& module, const std::string& name, bool inside_twin) {
    auto* twin = dynamic_cast<QuantizableLayer*>(&module);
    const auto children = module.named_children();
    if (twin != nullptr || (!inside_twin && children.is_empty() && !is_container(module))) {
      const auto [place, is_new] = index_.try_emplace(&module, layers.size());
      if (is_new) {
        layers.push_back({{name}, &module, twin});
      } else {
        layers[place->second].names.push_back(name);
      }
    }
    for (const auto& child : children) {
      visit(*child.value(), name.empty() ? child.key() : name + "." + child.key(),
            inside_twin || twin != nullptr);
    }
  }

  static bool is_container(const torch::nn::Module& module) {
    return dynamic_cast<const torch::nn::SequentialImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ModuleListImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ModuleDictImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ParameterListImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ParameterDictImpl*>(&module) != nullptr;
  }

  std::unordered_map<const torch::nn::Module*, std::size_t> index_;
};

std::vector<QuantizableLayer*> twins(ModelRef model) {
  std::vector<QuantizableLayer*> found;
  for (const Layer& layer : LayerWalk(*model).layers) {
    if (layer.twin != nullptr) found.push_back(layer.twin);
  }
  return found;
}

std::string type_of(const Layer& layer) {
  return layer.twin != nullptr ? layer.twin->type() : detail::layer_type(layer.module->name());
}

std::string quoted(const std::string& name) { return "'" + name + "'"; }

std::string quoted(const Layer& layer) {
  return quoted(layer.name()) + " (" + type_of(layer) + ")";
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : separator) + part;
  return all;
}

// "none" leaves a place alone, as null does.
std::shared_ptr<const Quantizer> effective(const std::shared_ptr<const Quantizer>& quantizer) {
  const bool identity = quantizer != nullptr && quantizer->format() != nullptr &&
                        std::holds_alternative<Identity>(*quantizer->format());
  return identity ? nullptr : quantizer;
}

std::shared_ptr<const Quantizer> effective(const Rule* rule,
                                           std::shared_ptr<const Quantizer> RuleValue::*place) {
  return rule == nullptr ? nullptr : effective(rule->value.*place);
}

std::string spec_of(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer == nullptr ? "" : quantizer->spec();
}

// What the three maps say about one layer.
struct Choice {
  explicit Choice(const LayerExplanation& rules, std::uint64_t seed) {
    quantizers.layer = rules.layer;
    quantizers.weight = effective(rules.weights, &RuleValue::weight);
    quantizers.bias = effective(rules.weights, &RuleValue::bias);
    quantizers.output = effective(rules.extrinsic, &RuleValue::output);
    quantizers.seed = seed;
    // Not effective(): an exact product and a float accumulator still add up in an order of their
    // own.
    intrinsic = rules.intrinsic != nullptr && rules.intrinsic->value.product != nullptr;
    std::vector<std::string> places;
    for (const auto& [map, rule] : {std::pair{"weights", rules.weights},
                                    {"extrinsic", rules.extrinsic},
                                    {"intrinsic", rules.intrinsic}}) {
      if (rule == nullptr) continue;
      places.push_back(std::string(map) + " \"" + rule->pattern.key() + "\" (" + rule->origin +
                       ")");
      if (rule->text != "null") texts.push_back(std::string(map) + rule->text);
    }
    quantizers.rule = joined(places, ", ");
    if (!intrinsic) return;
    quantizers.intrinsic = rules.intrinsic->text;
    std::erase(quantizers.intrinsic, '"');  // JSON: a string, or an object with the parts
    quantizers.product = rules.intrinsic->value.product;
    quantizers.accumulator = rules.intrinsic->value.accumulator;
    quantizers.accumulate = rules.intrinsic->value.accumulate;
  }
  bool hits() const {
    return quantizers.weight || quantizers.bias || quantizers.output || intrinsic;
  }

  LayerQuantizers quantizers;
  bool intrinsic = false;
  std::vector<std::string> texts;  // the rules' values: equal texts do the same
};

// Everything that speaks against an override, and what to attach if nothing does.
class Application {
 public:
  Application(ModelRef model, const Override& maps) : walk_(*model), maps_(maps), owners_(*model) {
    std::vector<std::string> names;
    for (const Layer& layer : walk_.layers) {
      names.insert(names.end(), layer.names.begin(), layer.names.end());
    }
    const Explanation explanation = explain(maps, names);
    choose_input(names, explanation);
    auto rules = explanation.layers.begin();
    for (const Layer& layer : walk_.layers) {
      choose(layer, rules);
      rules += static_cast<std::ptrdiff_t>(layer.names.size());
    }
    refuse();
  }

  ApplyReport attach() && {
    for (auto& [twin, plan] : plans_) twin->attach(std::move(plan));
    return {std::move(idle_), InputQuantizer(std::move(input_), maps_.seed)};
  }

 private:
  // "input" is a name for the extrinsic map alone, and only where the model has no layer of its own
  // with it.
  void choose_input(std::vector<std::string> names, const Explanation& explanation) {
    const bool own = std::find(names.begin(), names.end(), kInput) != names.end();
    collect_idle(explanation, /*extrinsic=*/false);
    if (own) {
      collect_idle(explanation, /*extrinsic=*/true);
      return;
    }
    names.insert(names.begin(), kInput);
    const Explanation with_input = explain(maps_, names);
    input_ = effective(with_input.layers.front().extrinsic, &RuleValue::output);
    collect_idle(with_input, /*extrinsic=*/true);
  }

  void collect_idle(const Explanation& explanation, bool extrinsic) {
    for (const IdleRule& rule : explanation.idle) {
      if ((rule.kind == MapKind::extrinsic) == extrinsic) idle_.push_back(rule.message());
    }
  }

  void choose(const Layer& layer, std::vector<LayerExplanation>::const_iterator rules) {
    Choice choice(*rules, maps_.seed);
    for (std::size_t i = 1; i < layer.names.size(); ++i) {
      if (Choice(rules[static_cast<std::ptrdiff_t>(i)], 0).texts != choice.texts) {
        torn_.push_back(quoted(layer.names[0]) + " and " + quoted(layer.names[i]));
      }
    }
    if (layer.twin == nullptr) {
      if (choice.hits()) plain_.push_back(quoted(layer));
      return;
    }
    if (choice.intrinsic && !layer.twin->only_moves_values() &&
        !layer.twin->can_round_arithmetic()) {
      inexact_.push_back(quoted(layer));
    }
    choice.quantizers.model_input = input_;
    try {
      plans_.emplace_back(layer.twin, layer.twin->plan(std::move(choice.quantizers), owners_));
    } catch (const Error& error) {
      faults_.push_back(error.what());
    }
  }

  void refuse() {
    if (!plain_.empty()) {
      faults_.push_back(
          "these layers are hit by a rule but cannot be quantized: " + joined(plain_, ", ") +
          "; build them from tensorquant::nn or QLayer, or exclude them by a rule "
          "with the value null");
    }
    if (!inexact_.empty()) {
      faults_.push_back("the intrinsic map hits layers whose arithmetic cannot be rounded: " +
                        joined(inexact_, ", "));
    }
    if (!torn_.empty()) {
      faults_.push_back("one layer under two names has different rules: " + joined(torn_, ", "));
    }
    if (maps_.strict) faults_.insert(faults_.end(), idle_.begin(), idle_.end());
    if (!faults_.empty()) throw Error(joined(faults_, "; "));
  }

  const LayerWalk walk_;
  const Override& maps_;
  ParameterOwners owners_;
  std::shared_ptr<const Quantizer> input_;
  std::vector<std::pair<QuantizableLayer*, std::shared_ptr<const QuantizableLayer::Plan>>> plans_;
  std::vector<std::string> idle_, plain_, inexact_, torn_, faults_;
};

// The copy's layers take over the quantizers of the model's. By position: Sequential::clone()
// forgets the names of its layers.
void inherit(torch::nn::Module& model, torch::nn::Module& copy) {
  auto* from = dynamic_cast<QuantizableLayer*>(&model);
  auto* to = dynamic_cast<QuantizableLayer*>(&copy);
  if (from != nullptr && to != nullptr) to->inherit(*from);
  const auto children = model.children(), copies = copy.children();
  for (std::size_t i = 0; i < std::min(children.size(), copies.size()); ++i) {
    inherit(*children[i], *copies[i]);
  }
}

}  // namespace

InputQuantizer::InputQuantizer(std::shared_ptr<const Quantizer> quantizer, std::uint64_t seed)
    : quantizer_(std::move(quantizer)), seed_(seed) {}

at::Tensor InputQuantizer::operator()(const at::Tensor& x, std::uint32_t step) const {
  if (quantizer_ == nullptr) return x;
  return quantize(x, quantizer_, {seed_, stream_of(kInput, Place::output), step});
}

ApplyReport apply(ModelRef model, const Override& maps) {
  return Application(model, maps).attach();
}

void strip(ModelRef model) {
  for (QuantizableLayer* twin : twins(model)) twin->attach(nullptr);
}

std::vector<LayerSummary> summary(ModelRef model) {
  std::vector<LayerSummary> rows;
  for (const Layer& layer : LayerWalk(*model).layers) {
    LayerSummary& row = rows.emplace_back();
    row.layer = layer.name();
    row.type = type_of(layer);
    row.quantizable = layer.twin != nullptr;
    if (layer.twin == nullptr || layer.twin->attached() == nullptr) continue;
    const LayerQuantizers& quantizers = layer.twin->attached()->quantizers;
    const auto has = [&](bool bias) {
      const auto& parameters = layer.twin->attached()->parameters;
      return std::any_of(parameters.begin(), parameters.end(),
                         [&](const auto& p) { return !p.name.empty() && p.is_bias == bias; });
    };
    if (has(/*bias=*/false)) row.weight = spec_of(quantizers.weight);
    if (has(/*bias=*/true)) row.bias = spec_of(quantizers.bias);
    row.output = spec_of(quantizers.output);
    if (!quantizers.intrinsic.empty()) {
      row.intrinsic =
          layer.twin->attached()->arithmetic ? quantizers.intrinsic : "nothing to round";
    }
    row.rule = quantizers.rule;
  }
  return rows;
}

std::string to_table(const std::vector<LayerSummary>& layers) {
  std::vector<std::vector<std::string>> rows;
  for (const LayerSummary& layer : layers) {
    auto& row = rows.emplace_back(std::vector<std::string>{
        layer.layer, layer.type, layer.weight, layer.bias, layer.output, layer.intrinsic,
        layer.quantizable ? layer.rule : "(not quantizable)"});
    for (std::string& cell : row) {
      if (cell.empty()) cell = "-";
    }
  }
  return format_table({"layer", "type", "weights", "bias", "output", "intrinsic", "rule"}, rows);
}

InputQuantizer input_quantizer(ModelRef model) {
  for (const QuantizableLayer* twin : twins(model)) {
    if (twin->attached() == nullptr) continue;
    const LayerQuantizers& quantizers = twin->attached()->quantizers;
    return {quantizers.model_input, quantizers.seed};
  }
  return {};
}

std::shared_ptr<torch::nn::Module> clone(torch::nn::Module& model) {
  std::shared_ptr<torch::nn::Module> copy = model.clone();
  inherit(model, *copy);
  return copy;
}

std::map<std::string, std::uint32_t> layer_steps(ModelRef model) {
  std::map<std::string, std::uint32_t> steps;
  for (const Layer& layer : LayerWalk(*model).layers) {
    if (layer.twin != nullptr) steps[layer.name()] = layer.twin->step();
  }
  return steps;
}

void set_layer_steps(ModelRef model, const std::map<std::string, std::uint32_t>& steps) {
  const LayerWalk walk(*model);
  std::map<std::string, QuantizableLayer*> layers;
  for (const Layer& layer : walk.layers) layers[layer.name()] = layer.twin;
  for (const auto& [name, step] : steps) {
    const auto found = layers.find(name);
    if (found == layers.end() || found->second == nullptr) {
      throw Error("the model has no quantizable layer " + quoted(name));
    }
  }
  for (const auto& [name, step] : steps) layers[name]->set_step(step);
}

void set_inference_step(ModelRef model, std::uint32_t step) {
  for (QuantizableLayer* twin : twins(model)) twin->set_inference_step(step);
}

void record_ranges(ModelRef model, bool on) {
  for (QuantizableLayer* twin : twins(model)) twin->record_ranges(on);
}

std::vector<LayerRangeReport> ranges(ModelRef model) {
  std::vector<LayerRangeReport> all;
  for (const Layer& layer : LayerWalk(*model).layers) {
    if (layer.twin == nullptr || layer.twin->attached() == nullptr) continue;
    const std::optional<LayerArithmetic>& rounded = layer.twin->attached()->arithmetic;
    const std::optional<RangeReport> report = layer.twin->ranges();
    if (rounded && report) all.push_back({layer.name(), rounded->arithmetic, *report});
  }
  return all;
}

void set_output_observer(ModelRef model, OutputObserver observer) {
  const auto shared =
      observer ? std::make_shared<const OutputObserver>(std::move(observer)) : nullptr;
  for (const Layer& layer : LayerWalk(*model).layers) {
    if (layer.twin != nullptr) layer.twin->set_observer(layer.name(), shared);
  }
}

void invalidate(ModelRef model) {
  for (QuantizableLayer* twin : twins(model)) twin->invalidate();
}

}  // namespace tensorquant
