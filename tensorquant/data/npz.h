#ifndef TENSORQUANT_DATA_NPZ_H_
#define TENSORQUANT_DATA_NPZ_H_

#include <cstddef>
#include <span>
#include <string>

#include "tensorquant/data/array.h"

namespace tensorquant {

// NumPy's .npz: a zip archive of .npy files, as numpy.savez and numpy.savez_compressed write it.

// The array of that name; "" is the only one. Errors name `source`: several arrays and no name, no
// such array, a damaged archive (zip.h) or member (npy.h).
Array parse_npz(std::span<const std::byte> file, const std::string& name,
                const std::string& source);

// Whether the text names an array in an archive: FILE.npz:NAME.
bool names_npz_member(const std::string& location);

// The array at FILE.npy, at FILE.npz that holds one, or at FILE.npz:NAME. A file is what its first
// bytes say.
Array read_array(const std::string& location);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_NPZ_H_
