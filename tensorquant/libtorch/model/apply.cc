#include "tensorquant/libtorch/model/apply.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/layers/parameter_owners.h"
#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/maps/place.h"

namespace tensorquant {
namespace {

constexpr const char* kInput = "input";

std::string quoted(const ModelLayer& layer) {
  return "'" + layer.name() + "' (" + layer.type() + ")";
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
  Application(ModelRef model, const Override& maps)
      : layers_(layers_of(model)), maps_(maps), owners_(*model) {
    std::vector<std::string> names;
    for (const ModelLayer& layer : layers_) {
      names.insert(names.end(), layer.names.begin(), layer.names.end());
    }
    const Explanation explanation = explain(maps, names);
    choose_input(names, explanation);
    auto rules = explanation.layers.begin();
    for (const ModelLayer& layer : layers_) {
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

  void choose(const ModelLayer& layer, std::vector<LayerExplanation>::const_iterator rules) {
    Choice choice(*rules, maps_.seed);
    for (std::size_t i = 1; i < layer.names.size(); ++i) {
      if (Choice(rules[static_cast<std::ptrdiff_t>(i)], 0).texts != choice.texts) {
        torn_.push_back("'" + layer.names[0] + "' and '" + layer.names[i] + "'");
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

  const std::vector<ModelLayer> layers_;
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
  for (QuantizableLayer* twin : quantizable_layers(model)) twin->attach(nullptr);
}

InputQuantizer input_quantizer(ModelRef model) {
  for (const QuantizableLayer* twin : quantizable_layers(model)) {
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

void invalidate(ModelRef model) {
  for (QuantizableLayer* twin : quantizable_layers(model)) twin->invalidate();
}

}  // namespace tensorquant
