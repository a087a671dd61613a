#ifndef TENSORQUANT_MAPS_RULE_H_
#define TENSORQUANT_MAPS_RULE_H_

#include <memory>
#include <string>

#include "tensorquant/maps/layer_pattern.h"
#include "tensorquant/quantizers/accumulate.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The three places in a layer that a map can quantize.
enum class MapKind { weights, extrinsic, intrinsic };
std::string to_string(MapKind kind);  // "weights"

// What a rule gives to the layers that it hits. A null quantizer leaves that place alone.
//
// Weights maps set weight and bias, extrinsic maps output, intrinsic maps product and accumulator:
// there both are null or none is, and the identity quantizer stands for the exact product and for
// the tensor's own type.
struct RuleValue {
  std::shared_ptr<const Quantizer> weight = nullptr;
  std::shared_ptr<const Quantizer> bias = nullptr;
  std::shared_ptr<const Quantizer> output = nullptr;
  std::shared_ptr<const Quantizer> product = nullptr;
  std::shared_ptr<const Quantizer> accumulator = nullptr;
  Accumulate accumulate = {};
};

// What one quantizer string gives to a layer: weight and bias, output, or product and accumulator.
// null and "none" leave the layer alone.
RuleValue plain_value(std::shared_ptr<const Quantizer> quantizer, MapKind kind);

// The value in the form that a map keeps: the identity quantizer is null outside intrinsic maps,
// and there a missing product or accumulator is the identity. Throws an Error for a part that is
// not of the kind and for a chunk below 1.
RuleValue normalized(RuleValue value, MapKind kind);

// The normalized value as compact JSON; equal values have equal texts.
std::string to_json(const RuleValue& value, MapKind kind);

struct Rule {
  LayerPattern pattern;
  RuleValue value;
  std::string text;  // to_json(value): "nearest,8,4", null, {"bias":"nearest,8,4"}
  // Where the rule stands, for messages: "maps/8bit.json:3:5", "line 3, column 5" or "rule 2".
  std::string place;

  // Equal keys and equal values, wherever they stand.
  friend bool operator==(const Rule& a, const Rule& b) {
    return a.pattern.key() == b.pattern.key() && a.text == b.text;
  }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_RULE_H_
