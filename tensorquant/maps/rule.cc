#include "tensorquant/maps/rule.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/json_text.h"
#include "tensorquant/quantizers/hardware.h"

namespace tensorquant {
namespace {

// In the order of kPlaces.
constexpr std::array kMembers = {&RuleValue::weight,          &RuleValue::bias,
                                 &RuleValue::output,          &RuleValue::product,
                                 &RuleValue::accumulator,     &RuleValue::error,
                                 &RuleValue::weight_gradient, &RuleValue::bias_gradient,
                                 &RuleValue::state,           &RuleValue::update};
static_assert(kMembers.size() == kPlaces.size());

bool is_none(const std::shared_ptr<const Quantizer>& quantizer) {
  return !quantizer || quantizer->spec() == "none";
}

std::string quoted_or_null(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer ? json_quoted(quantizer->spec()) : "null";
}

// {"product":"nearest,8,4","accumulate":"once"}: the places that are set, and what is no default.
std::string parts_to_json(const RuleValue& value, MapKind kind) {
  std::string text;
  const auto add = [&text](std::string_view name, const std::string& quoted) {
    text += (text.empty() ? "{" : ",") + json_quoted(std::string(name)) + ':' + quoted;
  };
  for (const Place place : places_of(kind)) {
    if (value[place]) add(to_string(place), json_quoted(value[place]->spec()));
  }
  for (const auto& [name, quantizer] : value.states) add(name, quoted_or_null(quantizer));
  if (value.accumulate != Accumulate{}) {
    add("accumulate", json_quoted(to_string(value.accumulate)));
  }
  if (value.outer) {
    std::string outer = "{\"accumulator\":" + json_quoted(value.outer->accumulator->spec());
    if (value.outer->every > 0) outer += ",\"every\":" + std::to_string(value.outer->every);
    add("outer", outer + '}');
  }
  if (value.order != TapOrder::channel) add("order", json_quoted(to_string(value.order)));
  return text + '}';
}

// Whether the value says more than its quantizers do.
bool has_settings(const RuleValue& value) {
  return value.accumulate != Accumulate{} || value.outer || value.order != TapOrder::channel ||
         !value.states.empty();
}

}  // namespace

std::shared_ptr<const Quantizer>& RuleValue::operator[](Place place) {
  return this->*kMembers[static_cast<std::size_t>(place)];
}

const std::shared_ptr<const Quantizer>& RuleValue::operator[](Place place) const {
  return this->*kMembers[static_cast<std::size_t>(place)];
}

RuleValue plain_value(std::shared_ptr<const Quantizer> quantizer, MapKind kind) {
  RuleValue value;
  if (is_none(quantizer)) return value;
  for (const Place place : places_of(kind)) value[place] = quantizer;
  return value;
}

RuleValue string_value(std::string_view text, MapKind kind) {
  const Hardware* hardware = kind == MapKind::intrinsic ? find_hardware(text) : nullptr;
  if (hardware == nullptr) return plain_value(make_quantizer(text), kind);
  RuleValue value;
  value.product = make_quantizer(hardware->product);
  value.accumulator = make_quantizer(hardware->accumulator);
  value.accumulate = make_accumulate(hardware->accumulate);
  if (const auto& outer = hardware->outer) {
    value.outer = OuterSum{make_quantizer(outer->accumulator), outer->every};
  }
  value.order = hardware->order;
  return value;
}

RuleValue normalized(RuleValue value, MapKind kind) {
  const auto refuse = [kind](const std::string& part) {
    throw Error(part + " in a map of kind '" + to_string(kind) + "'");
  };
  bool is_set = false;
  for (const PlaceEntry& entry : kPlaces) {
    if (!value[entry.place]) continue;
    if (entry.kind != kind) refuse("a quantizer for '" + std::string(entry.name) + "'");
    is_set = true;
  }
  const std::string fault = accumulate_fault(value.accumulate);
  if (!fault.empty()) throw Error(fault);
  value.accumulate = make_accumulate(to_string(value.accumulate));  // without unused numbers
  if (value.outer) {
    if (value.outer->every < 0) throw Error("'every' must be an integer of 1 or more");
    if (value.outer->accumulator == nullptr) value.outer->accumulator = make_quantizer("none");
  }
  if (kind != MapKind::intrinsic) {
    if (value.accumulate != Accumulate{}) refuse("an 'accumulate'");
    if (value.outer) refuse("an 'outer'");
    if (value.order != TapOrder::channel) refuse("an 'order'");
  }
  if (kind != MapKind::optimizer && !value.states.empty()) {
    refuse("a quantizer for '" + value.states.begin()->first + "'");
  }

  for (const Place place : places_of(kind)) {
    if (kind != MapKind::intrinsic) {
      if (is_none(value[place])) value[place].reset();
    } else if (!value[place] && (is_set || has_settings(value))) {
      value[place] = make_quantizer("none");
    }
  }
  for (auto& [name, quantizer] : value.states) {
    if (is_none(quantizer)) quantizer.reset();
  }
  const std::string state = quoted_or_null(value.state);
  std::erase_if(value.states, [&](const auto& one) { return quoted_or_null(one.second) == state; });
  return value;
}

std::string to_json(const RuleValue& value, MapKind kind) {
  const std::vector<Place> places = places_of(kind);
  const std::string first = quoted_or_null(value[places.front()]);
  const bool are_equal = std::all_of(places.begin(), places.end(), [&](Place place) {
    return quoted_or_null(value[place]) == first;
  });
  // As a plain string "none" would leave the layer alone.
  const bool is_plain = are_equal && !has_settings(value) &&
                        (!value[places.front()] || !is_none(value[places.front()]));
  return is_plain ? first : parts_to_json(value, kind);
}

}  // namespace tensorquant
