#ifndef TENSORQUANT_CLI_FLOAT_ARRAY_H_
#define TENSORQUANT_CLI_FLOAT_ARRAY_H_

#include <string>

#include "tensorquant/data/array.h"

namespace tensorquant::cli {

// What a command takes for an array, for its help.
inline constexpr const char* kArrayFiles = ".npy, .npz or FILE.npz:NAME";

// The f32 or f64 numbers of such a file; f16 becomes f32, which has all its numbers. Errors name
// the file.
Array read_float_array(const std::string& location);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_FLOAT_ARRAY_H_
