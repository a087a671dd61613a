#ifndef TENSORQUANT_DATA_FLOAT32_H_
#define TENSORQUANT_DATA_FLOAT32_H_

#include <cstddef>

#include "tensorquant/data/array.h"

namespace tensorquant {

struct Float32 {
  Array array;
  std::size_t rounded = 0;  // numbers that are no float32
};

// f16 and bf16 as float32, which has all their numbers; f64 to the nearest, ties to even, beyond
// the largest to infinity; f32 as it is. NaN stays NaN. Error for other types.
Float32 to_float32(const Array& array);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_FLOAT32_H_
