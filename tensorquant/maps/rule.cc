#include "tensorquant/maps/rule.h"

#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/json_text.h"

namespace tensorquant {
namespace {

bool is_none(const std::shared_ptr<const Quantizer>& quantizer) {
  return !quantizer || quantizer->spec() == "none";
}

std::string quoted_or_null(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer ? json_quoted(quantizer->spec()) : "null";
}

std::string weights_to_json(const RuleValue& value) {
  std::string weight = quoted_or_null(value.weight);
  const std::string bias = quoted_or_null(value.bias);
  if (weight == bias) return weight;
  if (!value.bias) return "{\"weight\":" + weight + "}";
  if (!value.weight) return "{\"bias\":" + bias + "}";
  return "{\"weight\":" + weight + ",\"bias\":" + bias + "}";
}

std::string intrinsic_to_json(const RuleValue& value) {
  std::string product = quoted_or_null(value.product);
  const std::string accumulator = quoted_or_null(value.accumulator);
  const bool is_step = value.accumulate.mode == Accumulate::Mode::step;
  if (!value.product) return "null";
  // As a plain string "none" would leave the layer alone.
  if (is_step && product == accumulator && !is_none(value.product)) return product;
  std::string text = "{\"product\":" + product + ",\"accumulator\":" + accumulator;
  if (!is_step) text += ",\"accumulate\":" + json_quoted(to_string(value.accumulate));
  return text + "}";
}

}  // namespace

std::string to_string(MapKind kind) {
  switch (kind) {
    case MapKind::weights:
      return "weights";
    case MapKind::extrinsic:
      return "extrinsic";
    case MapKind::intrinsic:
      break;
  }
  return "intrinsic";
}

RuleValue plain_value(std::shared_ptr<const Quantizer> quantizer, MapKind kind) {
  RuleValue value;
  if (is_none(quantizer)) return value;
  switch (kind) {
    case MapKind::weights:
      value.weight = value.bias = std::move(quantizer);
      break;
    case MapKind::extrinsic:
      value.output = std::move(quantizer);
      break;
    case MapKind::intrinsic:
      value.product = value.accumulator = std::move(quantizer);
      break;
  }
  return value;
}

RuleValue normalized(RuleValue value, MapKind kind) {
  const auto refuse = [kind](bool is_set, const char* part) {
    if (is_set) throw Error(std::string(part) + " in a map of kind '" + to_string(kind) + "'");
  };
  refuse(kind != MapKind::weights && (value.weight || value.bias), "a weight or bias quantizer");
  refuse(kind != MapKind::extrinsic && value.output, "an output quantizer");
  refuse(kind != MapKind::intrinsic && (value.product || value.accumulator),
         "a product or accumulator quantizer");
  Accumulate& accumulate = value.accumulate;
  if (accumulate.mode != Accumulate::Mode::chunk) {
    accumulate.chunk = 0;
  } else if (accumulate.chunk < 1) {
    throw Error("a chunk must be an integer of 1 or more");
  }
  const bool accumulates = accumulate != Accumulate{};
  refuse(kind != MapKind::intrinsic && accumulates, "an accumulate");

  if (kind != MapKind::intrinsic) {
    for (auto* part : {&value.weight, &value.bias, &value.output}) {
      if (is_none(*part)) part->reset();
    }
  } else if (value.product || value.accumulator || accumulates) {
    for (auto* part : {&value.product, &value.accumulator}) {
      if (!*part) *part = make_quantizer("none");
    }
  }
  return value;
}

std::string to_json(const RuleValue& value, MapKind kind) {
  switch (kind) {
    case MapKind::weights:
      return weights_to_json(value);
    case MapKind::extrinsic:
      return quoted_or_null(value.output);
    case MapKind::intrinsic:
      break;
  }
  return intrinsic_to_json(value);
}

}  // namespace tensorquant
