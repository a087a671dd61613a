#ifndef TENSORQUANT_DATA_GZIP_H_
#define TENSORQUANT_DATA_GZIP_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace tensorquant {

// The gzip format: RFC 1952, one or more members one after the other.

// Whether the bytes begin as gzip data does. Names prove nothing: browsers unpack files and keep
// the .gz.
bool is_gzip(std::span<const std::byte> file);

// The first `limit` bytes of the decompressed data, or all of it where it is shorter: memory stays
// within twice the smaller. Errors name `source`: invalid or truncated data, wrong check sums,
// bytes after the end. Data beyond the limit is not looked at; a caller that knows the size n
// passes n + 1 and so learns that all is sound and nothing follows.
std::vector<std::byte> gunzip(std::span<const std::byte> file, std::size_t limit,
                              const std::string& source);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_GZIP_H_
