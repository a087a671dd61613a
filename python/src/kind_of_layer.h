#ifndef TENSORQUANT_PYTHON_SRC_KIND_OF_LAYER_H_
#define TENSORQUANT_PYTHON_SRC_KIND_OF_LAYER_H_

#include <stdexcept>
#include <string>

#include "tensorquant/maps/layer_pattern.h"

namespace tensorquant::python {

inline NamedLayer::Kind kind_of_layer(const std::string& word) {
  using enum NamedLayer::Kind;
  if (word == "layer") return layer;
  if (word == "mover") return mover;
  if (word == "input") return input;
  throw std::invalid_argument("kind: expected 'layer', 'mover' or 'input'");
}

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_KIND_OF_LAYER_H_
