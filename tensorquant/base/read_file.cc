#include "tensorquant/base/read_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <system_error>

#include "tensorquant/base/error.h"

namespace tensorquant {

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  const auto fail = [&path](int reason) {
    throw Error(path.string() + ": cannot read: " + std::generic_category().message(reason));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) {
    fail(errno);
  }
  // The size is only a hint: a pipe has none, and a file may change meanwhile. One byte more lets
  // the first read see the end.
  std::error_code no_size;
  const std::uintmax_t size = std::filesystem::file_size(path, no_size);
  std::vector<std::byte> bytes(no_size ? 0 : static_cast<std::size_t>(size) + 1);
  std::size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) {
      bytes.resize(std::max<std::size_t>(2 * filled, 1 << 16));
    }
    const std::size_t wanted = bytes.size() - filled;
    const std::size_t got = std::fread(bytes.data() + filled, 1, wanted, file.get());
    filled += got;
    if (got < wanted) {
      break;
    }
  }
  if (std::ferror(file.get())) {
    fail(errno);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace tensorquant
