#include "tensorquant/data/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr int kGzipFormat = 16 + MAX_WBITS;  // zlib's way to ask for gzip headers and check sums
constexpr std::size_t kFirstBlock = 1 << 16;

struct Inflater {
  z_stream stream = {};
  Inflater() {
    if (inflateInit2(&stream, kGzipFormat) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

// zlib counts in 32 bits.
uInt part_of(std::size_t size) {
  return static_cast<uInt>(std::min<std::size_t>(size, std::numeric_limits<uInt>::max()));
}

}  // namespace

bool is_gzip(std::span<const std::byte> file) {
  return file.size() >= 2 && file[0] == std::byte{0x1f} && file[1] == std::byte{0x8b};
}

std::vector<std::byte> gunzip(std::span<const std::byte> file, std::size_t limit,
                              const std::string& source) {
  Inflater inflater;
  z_stream& stream = inflater.stream;
  std::vector<std::byte> out;
  std::size_t read = 0;
  std::size_t written = 0;
  const auto fail = [&](const std::string& reason) {
    throw Error(source + ": gzip data at byte " + std::to_string(read) + ": " + reason);
  };
  while (written < limit) {
    if (written == out.size()) {
      out.resize(std::min(limit, std::max(kFirstBlock, 2 * written)));
    }
    const uInt input = part_of(file.size() - read);
    const uInt room = part_of(out.size() - written);
    // zlib does not write to its input but takes it without const.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(file.data() + read));
    stream.avail_in = input;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = room;
    const int status = inflate(&stream, Z_NO_FLUSH);
    read += input - stream.avail_in;
    written += room - stream.avail_out;
    if (status == Z_STREAM_END) {
      if (read == file.size()) {
        break;
      }
      if (!is_gzip(file.subspan(read))) {
        fail("expected the end of the file, found " + std::to_string(file.size() - read) +
             " bytes more");
      }
      inflateReset(&stream);
    } else if (status == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(stream.msg != nullptr ? stream.msg : "invalid");
    } else if (read == file.size() && written < out.size()) {
      fail("truncated, after " + std::to_string(written) + " decompressed bytes");
    }
  }
  out.resize(written);
  return out;
}

}  // namespace tensorquant
