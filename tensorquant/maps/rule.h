#ifndef TENSORQUANT_MAPS_RULE_H_
#define TENSORQUANT_MAPS_RULE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tensorquant/maps/layer_pattern.h"
#include "tensorquant/maps/place.h"
#include "tensorquant/quantizers/accumulate.h"
#include "tensorquant/quantizers/outer_sum.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/tap_order.h"

namespace tensorquant {

// What a rule gives to the layers that it hits. A null quantizer leaves that place alone.
//
// The places are those of the map's kind. In intrinsic maps all of them are null or none is, and
// there the identity quantizer stands for the exact product and for the tensor's own type.
struct RuleValue {
  std::shared_ptr<const Quantizer> weight = nullptr;
  std::shared_ptr<const Quantizer> bias = nullptr;
  std::shared_ptr<const Quantizer> output = nullptr;
  std::shared_ptr<const Quantizer> product = nullptr;
  std::shared_ptr<const Quantizer> accumulator = nullptr;
  std::shared_ptr<const Quantizer> error = nullptr;
  std::shared_ptr<const Quantizer> weight_gradient = nullptr;
  std::shared_ptr<const Quantizer> bias_gradient = nullptr;
  std::shared_ptr<const Quantizer> state = nullptr;
  std::shared_ptr<const Quantizer> update = nullptr;
  // Of intrinsic maps alone.
  Accumulate accumulate = {};
  std::optional<OuterSum> outer = {};
  TapOrder order = TapOrder::channel;
  // Of optimizer maps alone: states by their own names, such as "exp_avg", where they differ from
  // `state`.
  std::map<std::string, std::shared_ptr<const Quantizer>> states = {};

  std::shared_ptr<const Quantizer>& operator[](Place place);
  const std::shared_ptr<const Quantizer>& operator[](Place place) const;
};

// What one quantizer string gives to a layer: the same to every place of the map's kind. null and
// "none" leave the layer alone.
RuleValue plain_value(std::shared_ptr<const Quantizer> quantizer, MapKind kind);

// What a string gives to a layer: plain_value() of a quantizer string or, in an intrinsic map, the
// value that the name of a piece of hardware stands for. Throws as make_quantizer().
RuleValue string_value(std::string_view text, MapKind kind);

// The value in the form that a map keeps: the identity quantizer is null outside intrinsic maps,
// and there a missing product or accumulator is the identity. Throws an Error for a part that is
// not of the kind and for numbers that make no sense.
RuleValue normalized(RuleValue value, MapKind kind);

// The normalized value as compact JSON; equal values have equal texts.
std::string to_json(const RuleValue& value, MapKind kind);

struct Rule {
  LayerPattern pattern;
  RuleValue value;
  std::string text;  // to_json(value): "nearest,8,4", null, {"bias":"nearest,8,4"}
  // Where the rule stands, for messages: "maps/8bit.json:3:5", "line 3, column 5" or "rule 2".
  std::string origin;

  // Equal keys and equal values, wherever they stand.
  friend bool operator==(const Rule& a, const Rule& b) {
    return a.pattern.key() == b.pattern.key() && a.text == b.text;
  }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_RULE_H_
