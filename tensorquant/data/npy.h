#ifndef TENSORQUANT_DATA_NPY_H_
#define TENSORQUANT_DATA_NPY_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "tensorquant/data/array.h"

namespace tensorquant {

// NumPy's .npy format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html),
// versions 1.0 to 3.0: a magic word, the version, the length of a header, the header as a Python
// dictionary, then the numbers. Types: booleans, integers of 8 to 64 bits, float16, float32 and
// float64. At most 64 dimensions, as in NumPy; they may be none (a single number) or zero.

// Arrays in Fortran order are turned into C order, big-endian numbers into little-endian ones.
// Errors: not .npy, another version or type, a malformed header (with its byte), fewer or more
// numbers than the shape says.
Array read_npy(const std::filesystem::path& path);

// The same for a file in memory; errors name `source`.
Array parse_npy(std::span<const std::byte> file, const std::string& source);

// Writes the file that numpy.save writes, byte for byte (NumPy 2.4), whole or not at all.
// Errors: a type other than those above, bytes that do not fit the shape, a path that cannot be
// written.
void write_npy(const std::filesystem::path& path, DType dtype, const Shape& shape,
               std::span<const std::byte> bytes);

inline void write_npy(const std::filesystem::path& path, const Array& array) {
  write_npy(path, array.dtype, array.shape, array.bytes);
}

// write_npy<float>("out.npy", {2, 3}, values)
template <class T>
void write_npy(const std::filesystem::path& path, const Shape& shape, std::span<const T> values) {
  write_npy(path, dtype_of<T>, shape, std::as_bytes(values));
}

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_NPY_H_
