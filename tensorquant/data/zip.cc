#include "tensorquant/data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "tensorquant/base/error.h"
#include "tensorquant/data/array.h"
#include "tensorquant/data/inflate.h"

namespace tensorquant {
namespace {

// Each record begins with its signature, and has this size without its name, extra fields and
// comment.
struct Record {
  std::string_view signature;
  std::size_t size;
};
constexpr Record kLocalHeader = {"PK\x03\x04", 30};
constexpr Record kDirectoryEntry = {"PK\x01\x02", 46};
constexpr Record kEnd = {"PK\x05\x06", 22};
constexpr Record kEnd64 = {"PK\x06\x06", 56};
constexpr Record kLocator64 = {"PK\x06\x07", 20};

constexpr std::size_t kLongestComment = 0xffff;
constexpr std::uint16_t kExtra64 = 1;          // the extra field that holds what needs 64 bits
constexpr std::uint32_t kIn64 = 0xffffffff;    // stands where the number is in that field
constexpr std::uint64_t kHarmless = 1U << 30;  // bytes that may come of anything
constexpr std::uint64_t kLargestRatio = 100;   // of more bytes

[[noreturn]] void fail(const std::string& source, const std::string& reason) {
  throw Error(source + ": " + reason);
}

// The text with what is not printable made visible, on one line.
std::string printable(std::string_view text) {
  std::string result = "'";
  for (char c : text.substr(0, 80)) result += c >= ' ' && c <= '~' ? c : '?';
  return result + (text.size() > 80 ? "...'" : "'");
}

// A little-endian number; the caller has made sure that it lies inside.
template <class T>
T number(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The bytes from `at` on if such a record begins there, with all its fixed fields.
std::optional<std::span<const std::byte>> record_at(std::span<const std::byte> file,
                                                    std::uint64_t at, const Record& record) {
  if (at > file.size() || file.size() - at < record.size) return std::nullopt;
  const std::span<const std::byte> bytes = file.subspan(at);
  if (!text(bytes).starts_with(record.signature)) return std::nullopt;
  return bytes;
}

struct Directory {
  std::uint64_t count = 0, begin = 0, size = 0, end = 0;  // end: where the next record begins
};

Directory find_directory(std::span<const std::byte> file, const std::string& source) {
  // The last record is found from behind: its comment reaches to the end of the file.
  const std::size_t nearest = file.size() - std::min(file.size(), kEnd.size);
  std::optional<std::span<const std::byte>> end;
  std::size_t at = nearest + 1;
  while (!end && at > 0 && nearest - (at - 1) <= kLongestComment) {
    end = record_at(file, --at, kEnd);
    if (end && kEnd.size + number<std::uint16_t>(*end, 20) != end->size()) end.reset();
  }
  if (!end) fail(source, "is damaged or cut short: it has no end of a zip directory");
  if (number<std::uint16_t>(*end, 4) != number<std::uint16_t>(*end, 6)) {
    fail(source, "is a part of a zip archive over several files");
  }
  Directory directory = {number<std::uint16_t>(*end, 10), number<std::uint32_t>(*end, 16),
                         number<std::uint32_t>(*end, 12), at};
  if (at < kLocator64.size) return directory;
  const auto locator = record_at(file, at - kLocator64.size, kLocator64);
  if (!locator) return directory;
  const auto at64 = number<std::uint64_t>(*locator, 8);
  const auto end64 = record_at(file, at64, kEnd64);
  if (!end64) fail(source, "is damaged: its ZIP64 directory has no end");
  return {number<std::uint64_t>(*end64, 32), number<std::uint64_t>(*end64, 48),
          number<std::uint64_t>(*end64, 40), at64};
}

// The numbers of an entry that do not fit 32 bits stand in an extra field, in this order.
bool read_extra64(std::span<const std::byte> extra, ZipMember& member) {
  while (extra.size() >= 4) {
    const auto id = number<std::uint16_t>(extra, 0);
    const std::size_t size = number<std::uint16_t>(extra, 2);
    extra = extra.subspan(4);
    if (size > extra.size()) return false;
    if (id == kExtra64) {
      std::size_t at = 0;
      for (std::uint64_t* value : {&member.size, &member.packed_size, &member.header}) {
        if (*value != kIn64) continue;
        if (size - at < sizeof *value) return false;
        *value = number<std::uint64_t>(extra, at);
        at += sizeof *value;
      }
    }
    extra = extra.subspan(size);
  }
  return true;
}

}  // namespace

bool is_zip(std::span<const std::byte> file) {
  return text(file).starts_with(kLocalHeader.signature) || text(file).starts_with(kEnd.signature);
}

std::vector<ZipMember> zip_members(std::span<const std::byte> file, const std::string& source) {
  const Directory directory = find_directory(file, source);
  if (directory.begin > directory.end || directory.end - directory.begin != directory.size) {
    fail(source, "is damaged: its zip directory does not lie where it is said to");
  }
  std::span<const std::byte> rest = file.subspan(directory.begin, directory.size);
  std::vector<ZipMember> members;
  while (!rest.empty()) {
    const auto damaged = [&] {
      fail(source,
           "is damaged: zip directory at byte " + std::to_string(directory.end - rest.size()));
    };
    const auto entry = record_at(rest, 0, kDirectoryEntry);
    if (!entry) damaged();
    const std::size_t name = number<std::uint16_t>(*entry, 28);
    const std::size_t extra = number<std::uint16_t>(*entry, 30);
    const std::size_t comment = number<std::uint16_t>(*entry, 32);
    const std::size_t size = kDirectoryEntry.size + name + extra + comment;
    if (size > rest.size()) damaged();
    ZipMember member;
    member.name = text(entry->subspan(kDirectoryEntry.size, name));
    member.encrypted = (number<std::uint16_t>(*entry, 8) & 1) != 0;
    member.method = number<std::uint16_t>(*entry, 10);
    member.crc = number<std::uint32_t>(*entry, 16);
    member.packed_size = number<std::uint32_t>(*entry, 20);
    member.size = number<std::uint32_t>(*entry, 24);
    member.header = number<std::uint32_t>(*entry, 42);
    if (!read_extra64(entry->subspan(kDirectoryEntry.size + name, extra), member)) damaged();
    members.push_back(std::move(member));
    rest = rest.subspan(size);
  }
  if (members.size() != directory.count) {
    fail(source, "is damaged: its zip directory has " + std::to_string(members.size()) +
                     " entries, expected " + std::to_string(directory.count));
  }
  return members;
}

std::vector<std::byte> unzip(std::span<const std::byte> file, const ZipMember& member,
                             const std::string& source) {
  const auto refuse = [&](const std::string& reason) {
    fail(source, "member " + printable(member.name) + ": " + reason);
  };
  if (member.encrypted) refuse("is encrypted");
  if (member.method != 0 && member.method != 8) {
    refuse("is compressed by method " + std::to_string(member.method) +
           ", expected stored (0) or deflated (8)");
  }
  const auto header = record_at(file, member.header, kLocalHeader);
  if (!header) refuse("has no header at byte " + std::to_string(member.header));
  // Sizes may be missing here, where a writer did not know them yet; the directory has them.
  const std::size_t name = number<std::uint16_t>(*header, 26);
  const std::size_t begin = kLocalHeader.size + name + number<std::uint16_t>(*header, 28);
  if (begin > header->size() || header->size() - begin < member.packed_size) {
    refuse("reaches beyond the end of the file");
  }
  if (text(header->subspan(kLocalHeader.size, name)) != member.name) {
    refuse("has another name in its header");
  }
  if (member.size > kHarmless && member.size / kLargestRatio > member.packed_size) {
    refuse("unpacks from " + std::to_string(member.packed_size) + " to " +
           std::to_string(member.size) + " bytes, which is too much to be taken on trust");
  }
  const std::span<const std::byte> packed = header->subspan(begin, member.packed_size);
  std::vector<std::byte> bytes;
  bool whole = true;
  if (member.method == 0) {
    bytes.assign(packed.begin(), packed.end());
  } else {
    // One byte more shows a stream that goes on.
    const Inflated done =
        inflate_stream(packed, DeflateFormat::bare, std::size_t{member.size} + 1, bytes);
    if (!done.fault.empty()) refuse("deflated data is damaged: " + done.fault);
    whole = done.ended && done.read == packed.size();
  }
  if (!whole || bytes.size() != member.size) {
    refuse("does not unpack to the " + std::to_string(member.size) + " bytes that it should have");
  }
  if (crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) != member.crc) {
    refuse("is damaged: its check sum is wrong");
  }
  return bytes;
}

}  // namespace tensorquant
