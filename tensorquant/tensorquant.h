#ifndef TENSORQUANT_TENSORQUANT_H_
#define TENSORQUANT_TENSORQUANT_H_

// The core of TensorQuant, without libtorch. Each header opens with what it is for.

#include "tensorquant/arithmetic/layers/convolution.h"     // convolutions, every operation rounded
#include "tensorquant/arithmetic/layers/matrix_product.h"  // matrix products, likewise
#include "tensorquant/base/error.h"                        // Error, what every bad input throws
#include "tensorquant/base/random.h"                       // random words and streams
#include "tensorquant/calibration/calibrator.h"            // what range a scale has to cover
#include "tensorquant/formats/context.h"     // Context: seed, stream and step of random rounding
#include "tensorquant/formats/format.h"      // number formats as plain data, and their definitions
#include "tensorquant/maps/assign.h"         // what each layer of a model gets, for front-ends
#include "tensorquant/maps/override.h"       // the three maps of a model, and explain()
#include "tensorquant/maps/quantizer_map.h"  // rules from layer names to quantizers
#include "tensorquant/quantizers/quantizer.h"  // Quantizer and make_quantizer("nearest,16,8")
#include "tensorquant/quantizers/quantizer_report.h"  // QuantizerReport: what has saturated, what became zero
#include "tensorquant/quantizers/registry.h"    // register_quantizer: names of your own
#include "tensorquant/quantizers/spec_error.h"  // SpecError: where a quantizer string is wrong

#endif  // TENSORQUANT_TENSORQUANT_H_
