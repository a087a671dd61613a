#ifndef TENSORQUANT_BASE_FILE_LOCK_H_
#define TENSORQUANT_BASE_FILE_LOCK_H_

#include <filesystem>

namespace tensorquant {

// Keeps other runs from writing a file for as long as it lives: for what AtomicFile cannot do, a
// file that is written more than once or together with others. It guards against those alone that
// ask for the same lock.
//
// The lock is one of the system (flock) on PATH.tensorquant-lock, which is removed at the end. The
// system drops it however the process dies; the small file that a killed process leaves bars
// nobody. It holds between hosts where the shared folder's locks do, as on NFS. On a file system
// without locks there is none. A symbolic link and the file it leads to have one lock.
//
// Errors name the path: another run has the lock (with its process, and its host);
// PATH.tensorquant-lock cannot be written.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::filesystem::path lock_;  // PATH.tensorquant-lock
  int descriptor_ = -1;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_FILE_LOCK_H_
