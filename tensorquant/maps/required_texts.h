#ifndef TENSORQUANT_MAPS_REQUIRED_TEXTS_H_
#define TENSORQUANT_MAPS_REQUIRED_TEXTS_H_

#include <string>
#include <string_view>
#include <vector>

namespace tensorquant {

// Texts that stand, in this order and without overlap, in every name that the ECMAScript regular
// expression matches as a whole: "block3." and ".conv" of "block3\..*(a|b)\.conv[0-9]". Empty where
// none are known. To look for them takes a hundredth of the time that <regex> needs to refuse a
// name. Private to maps/.
std::vector<std::string> required_texts(std::string_view expression);

// Whether the name holds these texts so.
bool holds_in_order(std::string_view name, const std::vector<std::string>& texts);

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_REQUIRED_TEXTS_H_
