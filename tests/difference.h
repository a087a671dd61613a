#ifndef TESTS_DIFFERENCE_H_
#define TESTS_DIFFERENCE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/floats.h"

namespace tensorquant {

// The first output that has other bits than it should; "" if there is none.
inline std::string difference(const std::vector<float>& found, const std::vector<float>& wanted) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (to_bits(found[i]) == to_bits(wanted[i])) continue;
    return "output " + std::to_string(i) + ": found " + hex(found[i]) + ", wanted " +
           hex(wanted[i]);
  }
  return "";
}

}  // namespace tensorquant

#endif  // TESTS_DIFFERENCE_H_
