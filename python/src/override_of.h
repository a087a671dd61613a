#ifndef TENSORQUANT_PYTHON_SRC_OVERRIDE_OF_H_
#define TENSORQUANT_PYTHON_SRC_OVERRIDE_OF_H_

#include <array>
#include <cstddef>

#include "tensorquant/maps/override.h"

namespace tensorquant::python {

// The maps that Python holds one by one, in the order of kMapKinds.
using Maps = std::array<QuantizerMap, kMapKinds.size()>;

inline Override override_of(const Maps& maps) {
  Override override;
  for (std::size_t i = 0; i < maps.size(); ++i) override[kMapKinds[i]] = maps[i];
  return override;
}

inline Maps maps_of(const Override& override) {
  Maps maps;
  for (std::size_t i = 0; i < maps.size(); ++i) maps[i] = override[kMapKinds[i]];
  return maps;
}

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_OVERRIDE_OF_H_
