#ifndef TENSORQUANT_QUANTIZERS_GRID_FAULT_H_
#define TENSORQUANT_QUANTIZERS_GRID_FAULT_H_

#include <string>
#include <string_view>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// Why arithmetic cannot round exact products or sums to the quantizer's format; empty where it can.
// `place` is "product", "accumulator" or "outer accumulator".
std::string grid_fault(const Quantizer& quantizer, std::string_view place);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_GRID_FAULT_H_
