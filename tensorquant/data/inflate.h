#ifndef TENSORQUANT_DATA_INFLATE_H_
#define TENSORQUANT_DATA_INFLATE_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace tensorquant {

// DEFLATE (RFC 1951), by zlib: bare, as in zip archives, or with the header and the check sum of
// gzip.
enum class DeflateFormat { bare, gzip };

struct Inflated {
  std::size_t read = 0;  // bytes of the input
  bool ended = false;    // the stream's end was reached; not so where the limit was
  std::string fault;     // "" where the data is sound so far
};

// Decompresses one stream and appends it to `out`, until `out` has `limit` bytes. Memory grows as
// the data comes: no header's word is taken for a size.
Inflated inflate_stream(std::span<const std::byte> in, DeflateFormat format, std::size_t limit,
                        std::vector<std::byte>& out);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_INFLATE_H_
