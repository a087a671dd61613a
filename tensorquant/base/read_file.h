#ifndef TENSORQUANT_BASE_READ_FILE_H_
#define TENSORQUANT_BASE_READ_FILE_H_

#include <cstddef>
#include <filesystem>
#include <vector>

namespace tensorquant {

// All bytes of a file. Readers take the whole file before they look at it: no number in a header
// can then ask for more memory than the file itself has. Errors: the path does not exist, is a
// folder, or cannot be read.
std::vector<std::byte> read_file(const std::filesystem::path& path);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_READ_FILE_H_
