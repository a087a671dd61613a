#ifndef TESTS_ARITHMETIC_OF_H_
#define TESTS_ARITHMETIC_OF_H_

#include <string>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

inline Arithmetic arithmetic_of(const std::string& product, const std::string& accumulator,
                                const std::string& accumulate) {
  return make_arithmetic(*make_quantizer(product), *make_quantizer(accumulator),
                         make_accumulate(accumulate));
}

}  // namespace tensorquant

#endif  // TESTS_ARITHMETIC_OF_H_
