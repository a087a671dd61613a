#include "tensorquant/data/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

namespace tensorquant {
namespace {

constexpr std::size_t kFirstBlock = 1 << 12;

struct Inflater {
  z_stream stream = {};
  explicit Inflater(DeflateFormat format) {
    // zlib's ways to ask for gzip's headers and check sums, and for none.
    const int window = format == DeflateFormat::gzip ? 16 + MAX_WBITS : -MAX_WBITS;
    if (inflateInit2(&stream, window) != Z_OK) throw std::bad_alloc();
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

Inflated inflate_stream(std::span<const std::byte> in, DeflateFormat format, std::size_t limit,
                        std::vector<std::byte>& out) {
  Inflater inflater(format);
  z_stream& stream = inflater.stream;
  Inflated result;
  const std::size_t begin = out.size();
  std::size_t written = begin;
  while (written < limit && !result.ended && result.fault.empty()) {
    if (written == out.size()) {
      out.resize(std::min(limit, written + std::max(kFirstBlock, written - begin)));
    }
    const uInt input = part_of(in.size() - result.read);
    const uInt room = part_of(out.size() - written);
    // zlib does not write to its input but takes it without const.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data() + result.read));
    stream.avail_in = input;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = room;
    const int status = inflate(&stream, Z_NO_FLUSH);
    result.read += input - stream.avail_in;
    written += room - stream.avail_out;
    if (status == Z_STREAM_END) {
      result.ended = true;
    } else if (status == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      result.fault = stream.msg != nullptr ? stream.msg : "invalid";
    } else if (result.read == in.size() && written < out.size()) {
      result.fault = "truncated, after " + std::to_string(written) + " decompressed bytes";
    }
  }
  out.resize(written);
  return result;
}

}  // namespace tensorquant
