#include "tensorquant/maps/assign.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <set>
#include <variant>

#include "tensorquant/quantizers/grid_fault.h"

namespace tensorquant {
namespace {

constexpr const char* kInput = "input";

// "none" leaves a place alone, as null does.
std::shared_ptr<const Quantizer> effective(const Rule* rule, Place place) {
  if (rule == nullptr) return nullptr;
  const std::shared_ptr<const Quantizer>& quantizer = rule->value[place];
  const bool is_identity = quantizer != nullptr && quantizer->format() != nullptr &&
                           std::holds_alternative<Identity>(*quantizer->format());
  return is_identity ? nullptr : quantizer;
}

std::string cited(MapKind kind, const Rule& rule) {
  return to_string(kind) + " \"" + rule.pattern.key() + "\" (" + rule.origin + ")";
}

std::string cited(const LayerExplanation& rules) {
  std::string all;
  for (const MapKind kind : kMapKinds) {
    if (rules[kind] == nullptr) continue;
    all += (all.empty() ? "" : ", ") + cited(kind, *rules[kind]);
  }
  return all;
}

// The rules' values: equal texts do the same.
std::vector<std::string> texts(const LayerExplanation& rules) {
  std::vector<std::string> all;
  for (const MapKind kind : kMapKinds) {
    if (rules[kind] == nullptr || rules[kind]->text == "null") continue;
    all.push_back(to_string(kind) + rules[kind]->text);
  }
  return all;
}

LayerQuantizers quantizers_of(const LayerExplanation& rules, std::uint64_t seed) {
  LayerQuantizers chosen;
  chosen.layer = rules.layer;
  chosen.weight = effective(rules.weights, Place::weight);
  chosen.bias = effective(rules.weights, Place::bias);
  chosen.output = effective(rules.extrinsic, Place::output);
  chosen.seed = seed;
  chosen.rule = cited(rules);
  // Not effective(): an exact product and a float accumulator still add up in an order of their
  // own.
  if (rules.intrinsic == nullptr || rules.intrinsic->value.product == nullptr) return chosen;
  chosen.product = rules.intrinsic->value.product;
  chosen.accumulator = rules.intrinsic->value.accumulator;
  chosen.accumulate = rules.intrinsic->value.accumulate;
  chosen.outer = rules.intrinsic->value.outer;
  chosen.order = rules.intrinsic->value.order;
  chosen.intrinsic = rules.intrinsic->text;
  std::erase(chosen.intrinsic, '"');  // JSON: a string, or an object with the parts
  return chosen;
}

TrainingQuantizers training_of(const LayerExplanation& rules) {
  TrainingQuantizers chosen;
  chosen.error = effective(rules.gradients, Place::error);
  chosen.weight_gradient = effective(rules.gradients, Place::weight_gradient);
  chosen.bias_gradient = effective(rules.gradients, Place::bias_gradient);
  chosen.state = effective(rules.optimizer, Place::state);
  chosen.update = effective(rules.optimizer, Place::update);
  if (rules.optimizer != nullptr) chosen.states = rules.optimizer->value.states;
  return chosen;
}

class Assigner {
 public:
  Assigner(const Override& maps, const std::vector<AssignableLayer>& layers, bool has_input)
      : maps_(maps) {
    std::vector<NamedLayer> names;
    for (const AssignableLayer& layer : layers) {
      for (const std::string& name : layer.names) names.emplace_back(name, layer.type, layer.kind);
      inputs_ += layer.kind == NamedLayer::Kind::input ? 1 : 0;
    }
    refuse_equal(names);
    const auto takes_input = [](const NamedLayer& layer) {
      return layer.kind == NamedLayer::Kind::input || layer.name == kInput;
    };
    has_input = has_input && std::none_of(names.begin(), names.end(), takes_input);
    if (has_input) {
      names.insert(names.begin(), NamedLayer(kInput, "", NamedLayer::Kind::input));
    }
    const Explanation explanation = explain(maps, names);
    for (const IdleRule& rule : explanation.idle) result.idle.push_back(rule.message());
    auto rules = explanation.layers.begin();
    if (has_input) result.input = quantizers_of(*rules++, maps.seed);
    for (const AssignableLayer& layer : layers) {
      choose(layer, &*rules);
      rules += static_cast<std::ptrdiff_t>(layer.names.size());
    }
    result.input.keeps_elements =
        std::any_of(result.layers.begin(), result.layers.end(),
                    [](const LayerQuantizers& layer) { return layer.product != nullptr; });
    for (LayerQuantizers& layer : result.layers) {
      layer.keeps_elements = result.input.keeps_elements;
    }
    if (maps.strict) {
      for (const std::string& message : result.idle) result.faults.add(message);
    }
  }

  Assignment result;

 private:
  void refuse_equal(const std::vector<NamedLayer>& layers) {
    std::set<std::string> seen, told;
    for (const NamedLayer& layer : layers) {
      if (seen.insert(layer.name).second || !told.insert(layer.name).second) continue;
      result.faults.add_to_list("several layers have one name, give them names of their own",
                                "'" + layer.name + "'");
    }
  }

  // `rules` has an element for each name.
  void choose(const AssignableLayer& layer, const LayerExplanation* rules) {
    LayerQuantizers chosen = quantizers_of(rules[0], maps_.seed);
    for (std::size_t i = 1; i < layer.names.size(); ++i) {
      if (texts(rules[i]) == texts(rules[0])) continue;
      result.faults.add_to_list("one layer under two names has different rules",
                                "'" + layer.names[0] + "' and '" + layer.names[i] + "'");
    }
    if (!layer.obstacle.empty()) {
      if (chosen.any()) {
        result.faults.add_to_list(
            "these layers are hit by a rule but cannot be quantized; " + layer.obstacle,
            layer.text());
      }
    } else if (chosen.product != nullptr) {
      check_arithmetic(layer, chosen);
    }
    chosen.model_input = result.input.output;
    // An only input draws the random numbers of "input", whatever it is called.
    if (layer.kind == NamedLayer::Kind::input && inputs_ == 1) chosen.layer = kInput;
    result.layers.push_back(std::move(chosen));
    result.training.push_back(training_of(rules[0]));
  }

  // Takes out what no layer can have, lest the front-end stumble over it, too.
  void check_arithmetic(const AssignableLayer& layer, LayerQuantizers& chosen) {
    if (layer.arithmetic == AssignableLayer::Arithmetic::nothing) return;
    if (layer.arithmetic == AssignableLayer::Arithmetic::other) {
      result.faults.add_to_list("the intrinsic map hits layers whose arithmetic cannot be rounded",
                                layer.text());
    }
    bool is_wrong = false;
    const Quantizer* outer = chosen.outer ? chosen.outer->accumulator.get() : nullptr;
    for (const auto& [quantizer, place] : {std::pair{chosen.product.get(), "product"},
                                           std::pair{chosen.accumulator.get(), "accumulator"},
                                           std::pair{outer, "outer accumulator"}}) {
      if (quantizer == nullptr) continue;
      const std::string fault = grid_fault(*quantizer, place);
      if (fault.empty()) continue;
      is_wrong = true;
      result.faults.add_to_list(fault + "; hit by the intrinsic map", layer.text());
    }
    if (is_wrong) chosen.product = chosen.accumulator = nullptr;
  }

  const Override& maps_;
  std::size_t inputs_ = 0;  // layers that stand for one
};

}  // namespace

bool is_bias(const std::string& parameter) {
  return parameter.find("bias", parameter.rfind('.') + 1) != std::string::npos;  // npos + 1 is 0
}

Assignment assign(const Override& maps, const std::vector<AssignableLayer>& layers,
                  bool has_input) {
  return std::move(Assigner(maps, layers, has_input).result);
}

}  // namespace tensorquant
