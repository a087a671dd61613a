#include "tensorquant/cli/float_array.h"

#include "tensorquant/base/error.h"
#include "tensorquant/data/float32.h"
#include "tensorquant/data/npz.h"

namespace tensorquant::cli {

Array read_float_array(const std::string& location) {
  Array array = read_array(location);
  if (array.dtype == DType::f16) return to_float32(array).array;
  if (array.dtype != DType::f32 && array.dtype != DType::f64) {
    throw Error(location + ": holds " + std::string(name_of(array.dtype)) +
                ", expected f16, f32 or f64");
  }
  return array;
}

}  // namespace tensorquant::cli
