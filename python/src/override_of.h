#ifndef TENSORQUANT_PYTHON_SRC_OVERRIDE_OF_H_
#define TENSORQUANT_PYTHON_SRC_OVERRIDE_OF_H_

#include "tensorquant/maps/override.h"

namespace tensorquant::python {

// The core's Override of the maps that Python holds one by one.
inline Override override_of(const QuantizerMap& weights, const QuantizerMap& extrinsic,
                            const QuantizerMap& intrinsic) {
  Override maps;
  maps.weights = weights;
  maps.extrinsic = extrinsic;
  maps.intrinsic = intrinsic;
  return maps;
}

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_OVERRIDE_OF_H_
