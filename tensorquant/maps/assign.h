#ifndef TENSORQUANT_MAPS_ASSIGN_H_
#define TENSORQUANT_MAPS_ASSIGN_H_

#include <string>
#include <vector>

#include "tensorquant/maps/faults.h"
#include "tensorquant/maps/layer_quantizers.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/maps/training_quantizers.h"

namespace tensorquant {

// One layer of a model, as a front-end sees it.
struct AssignableLayer {
  // What an intrinsic map finds in it.
  enum class Arithmetic {
    rounded,  // products and sums that the front-end can round
    nothing,  // none: the layer only moves values
    other,    // some that it cannot round
  };

  std::vector<std::string> names;  // the first is its name
  std::string type;                // "Conv2d": for people, and for the keys "op:Conv2d"
  Arithmetic arithmetic = Arithmetic::rounded;
  std::string obstacle;  // what to do where it has no places for quantizers; empty: it has
  NamedLayer::Kind kind = NamedLayer::Kind::layer;

  std::string text() const { return "'" + names.front() + "' (" + type + ")"; }
};

// What the maps decide about a model.
struct Assignment {
  std::vector<LayerQuantizers> layers;       // for each layer given
  std::vector<TrainingQuantizers> training;  // likewise
  LayerQuantizers input;                     // of the model's input: its output quantizer
  std::vector<std::string> idle;             // a line for each rule that does nothing
  Faults faults;  // the front-end adds its own before it refuses them all in one error
};

// Which quantizers each layer gets, for every front-end.
//
// A layer with several names goes by the first; the rules of the others must be of equal value.
// "input" is a name for the extrinsic map alone, where `has_input` and the model has no layer of
// that name or kind. Idle rules are faults if maps.strict. Nothing is thrown for what stands in
// `faults`; an Error as of Override::check_kinds().
Assignment assign(const Override& maps, const std::vector<AssignableLayer>& layers,
                  bool has_input = true);

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_ASSIGN_H_
