#ifndef TENSORQUANT_BASE_ATOMIC_FILE_H_
#define TENSORQUANT_BASE_ATOMIC_FILE_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace tensorquant {

// A file that appears whole or not at all. What is written goes to a temporary file in the target's
// folder; commit() brings it to the disk and renames it to the target, in one step for every
// reader. Without commit(), or after an error, the temporary file is removed and a target that
// stood before still stands.
//
// A run that is killed leaves its temporary file behind; the next AtomicFile in that folder removes
// it, and never one that is being written.
//
// A symbolic link stays one: the file it leads to is replaced. A replaced file hands on its
// permissions. Errors name the path: the target is a folder, a device or write-protected; the
// system's reason when a step fails.
//
//   AtomicFile file("weights.bin");
//   file.write(header);
//   file.write(values);
//   file.commit();
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  void open_temporary();
  void check(bool success, const char* step) const;
  void discard() noexcept;

  std::filesystem::path path_;       // as the caller named it, for messages
  std::filesystem::path target_;     // path_ with symbolic links followed
  std::filesystem::path temporary_;  // empty once it is renamed or removed
  int descriptor_ = -1;
};

// The file that a chain of symbolic links leads to; it need not exist. Error on a loop.
std::filesystem::path follow_links(const std::filesystem::path& path);

// The whole of a file in one call.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_ATOMIC_FILE_H_
