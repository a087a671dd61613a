#ifndef TENSORQUANT_DATA_ZIP_H_
#define TENSORQUANT_DATA_ZIP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tensorquant {

// Zip archives (PKWARE's APPNOTE.TXT 6.3.10), with ZIP64; members are stored or deflated. docs/adr
// says why there is a reader of our own.

// A file in an archive, as the central directory describes it.
struct ZipMember {
  std::string name;
  bool encrypted = false;
  std::uint16_t method = 0;  // of compression: 0 stored, 8 deflated
  std::uint32_t crc = 0;     // of the unpacked bytes
  std::uint64_t packed_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header = 0;  // where its local header begins in the file
};

bool is_zip(std::span<const std::byte> file);

// Errors name `source`: no end of a directory, a directory that lies elsewhere than it is said to,
// several disks.
std::vector<ZipMember> zip_members(std::span<const std::byte> file, const std::string& source);

// The member's bytes. Errors name `source` and the member: data outside the file, another size or
// check sum than the directory says, encryption, another method, more than 1 GiB where that is more
// than 100 times the packed size: such data is a trap, or empty enough to be unpacked by hand.
std::vector<std::byte> unzip(std::span<const std::byte> file, const ZipMember& member,
                             const std::string& source);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_ZIP_H_
