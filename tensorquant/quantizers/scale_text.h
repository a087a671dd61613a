#ifndef TENSORQUANT_QUANTIZERS_SCALE_TEXT_H_
#define TENSORQUANT_QUANTIZERS_SCALE_TEXT_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tensorquant/formats/element_format.h"
#include "tensorquant/formats/scale.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {

// The keywords scale, per, block and zero of a string: what stands in it, else what its name
// implies; nothing without either. Throws where they do not go together, or with the element
// format.
std::optional<Scale> read_scale(SpecReader& reader, const std::optional<Scale>& implied,
                                const ElementFormat& element);

// Adds the keywords that say more than the name does.
void write_scale(const Scale& scale, const std::optional<Scale>& implied,
                 std::map<std::string, std::string>& keywords);

// "floor", "max" ...; of Rule::number the number.
std::string scale_text(const Scale& scale);

// "tensor", "channel", "row" or "block".
std::string_view granularity_text(const Scale& scale);

// What stands in the usage of a name for all keywords of scales.
std::string scale_usage();

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_SCALE_TEXT_H_
