#ifndef TENSORQUANT_CLI_FLOAT_ARRAY_H_
#define TENSORQUANT_CLI_FLOAT_ARRAY_H_

#include <string>

#include "tensorquant/data/array.h"

namespace tensorquant::cli {

// The f32 or f64 numbers of a .npy, a .npz or FILE.npz:NAME; f16 becomes f32, which has all its
// numbers. Errors name the file.
Array read_float_array(const std::string& location);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_FLOAT_ARRAY_H_
