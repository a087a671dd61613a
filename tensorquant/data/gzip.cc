#include "tensorquant/data/gzip.h"

#include "tensorquant/base/error.h"
#include "tensorquant/data/inflate.h"

namespace tensorquant {

bool is_gzip(std::span<const std::byte> file) {
  return file.size() >= 2 && file[0] == std::byte{0x1f} && file[1] == std::byte{0x8b};
}

std::vector<std::byte> gunzip(std::span<const std::byte> file, std::size_t limit,
                              const std::string& source) {
  std::vector<std::byte> out;
  std::size_t read = 0;
  const auto fail = [&](const std::string& reason) {
    throw Error(source + ": gzip data at byte " + std::to_string(read) + ": " + reason);
  };
  while (out.size() < limit) {
    const Inflated member = inflate_stream(file.subspan(read), DeflateFormat::gzip, limit, out);
    read += member.read;
    if (!member.fault.empty()) fail(member.fault);
    if (!member.ended || read == file.size()) break;
    if (!is_gzip(file.subspan(read))) {
      fail("expected the end of the file, found " + std::to_string(file.size() - read) +
           " bytes more");
    }
  }
  return out;
}

}  // namespace tensorquant
