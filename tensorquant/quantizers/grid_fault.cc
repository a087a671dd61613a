#include "tensorquant/quantizers/grid_fault.h"

#include "tensorquant/formats/format.h"

namespace tensorquant {

std::string grid_fault(const Quantizer& quantizer, std::string_view place) {
  const Format* format = quantizer.format();
  if (format != nullptr && is_grid_of_doubles(*format)) return "";
  const std::string article = place.starts_with('p') ? "a " : "an ";
  return "'" + quantizer.spec() + "' cannot be the format of " + article + std::string(place) +
         ", expected fixed point of at most 53 bits (52 unsigned), a float, a posit, logarithmic "
         "without fraction or none";
}

}  // namespace tensorquant
