#ifndef TENSORQUANT_DATA_SAFETENSORS_H_
#define TENSORQUANT_DATA_SAFETENSORS_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "tensorquant/data/array.h"

namespace tensorquant {

// The safetensors format (https://github.com/huggingface/safetensors#format): the length of the
// header as 64 bits little-endian, the header as JSON, then the bytes of all tensors, one after the
// other without a hole:
//   {"__metadata__": {"key": "text"},
//    "conv1.weight": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [0, 600]}}
// Types: BOOL, U8 to U64, I8 to I64, F16, BF16, F32, F64, F8_E5M2, F8_E4M3.
struct Safetensors {
  std::map<std::string, Array> tensors;
  std::map<std::string, std::string> metadata;
};

// Errors, with the tensor's name: an unknown type, a name that stands twice, bytes that do not fit
// the shape, overlap, leave a hole or lie outside the file. Others: bytes after the last tensor,
// malformed JSON, a header above 100 MB.
Safetensors read_safetensors(const std::filesystem::path& path);

// The same for a file in memory; errors name `source`.
Safetensors parse_safetensors(std::span<const std::byte> file, const std::string& source);

// Writes the file that Python's safetensors writes, byte for byte, whole or not at all. Tensors are
// sorted by type, widest first, then by name; metadata by name (its order is left open there).
// Errors: bytes that do not fit the shape and the name "__metadata__", both with the tensor's name;
// text that is not UTF-8; a path that cannot be written.
void write_safetensors(const std::filesystem::path& path, const Safetensors& file);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_SAFETENSORS_H_
