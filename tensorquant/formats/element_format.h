#ifndef TENSORQUANT_FORMATS_ELEMENT_FORMAT_H_
#define TENSORQUANT_FORMATS_ELEMENT_FORMAT_H_

#include <variant>

#include "tensorquant/formats/additive_powers.h"
#include "tensorquant/formats/answers.h"
#include "tensorquant/formats/binary.h"
#include "tensorquant/formats/fixed_point.h"
#include "tensorquant/formats/floating_point.h"
#include "tensorquant/formats/logarithmic.h"
#include "tensorquant/formats/normal_float.h"
#include "tensorquant/formats/p3109.h"
#include "tensorquant/formats/posit.h"
#include "tensorquant/formats/ternary.h"

namespace tensorquant {

// The formats that say which numbers there are, and so have a largest one. They stand alone or
// share scales: see Scaled.
using ElementFormat = std::variant<FixedPoint, FloatingPoint, P3109, Posit, Logarithmic,
                                   NormalFloat4, AdditivePowers, Binary, Ternary>;

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_ELEMENT_FORMAT_H_
