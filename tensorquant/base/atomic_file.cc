#include "tensorquant/base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;

// Linux follows at most this many links before it reports a loop.
constexpr int kMaxLinks = 40;

// Temporary files are .tensorquant-HOST-PID-NUMBER.tmp.
constexpr std::string_view kPrefix = ".tensorquant-";
constexpr std::string_view kSuffix = ".tmp";
constexpr std::time_t kRestSeconds = 3600;

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw Error(path.string() + ": " + reason);
}

// Renaming over these would succeed, or fail late and obscurely.
void refuse_unsuitable_target(const fs::path& path, const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (target.filename().empty() || fs::is_directory(status)) {
    fail(path, "cannot write: is a folder, expected a file");
  }
  if (!fs::exists(status)) {
    return;
  }
  if (!fs::is_regular_file(status)) {
    fail(path, "cannot write: is not a regular file");
  }
  if (::access(target.c_str(), W_OK) != 0) {
    fail(path, "cannot write: " + std::generic_category().message(errno));
  }
}

// What the temporary files of this host begin with. Process ids are told apart within a host alone.
const std::string& own_prefix() {
  static const std::string prefix = [] {
    char host[65] = {};
    ::gethostname(host, sizeof host - 1);
    return std::string(kPrefix) + host + "-";
  }();
  return prefix;
}

bool is_temporary(const std::string& name) {
  return name.starts_with(kPrefix) && name.ends_with(kSuffix);
}

// Removes a temporary file whose writer is gone. A writer holds an exclusive lock on its file until
// the file has its final name, and the system drops the lock however the process ends: whoever can
// take it has found a file of nobody. A process id proves less, since it is reused and means
// nothing in another container or on another host.
//
// Some shared folders keep locks within each host (NFS mounted with nolock, Lustre with
// localflock). There a file of another host must also have rested for an hour; a living writer
// never does.
void remove_if_abandoned(const fs::path& path) noexcept {
  const int file = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return;
  struct stat opened = {}, named = {};
  // With the lock in hand nobody else may remove or rename the file, so what has its name now keeps
  // it until unlink().
  if (::flock(file, LOCK_EX | LOCK_NB) == 0 && ::fstat(file, &opened) == 0 &&
      ::lstat(path.c_str(), &named) == 0 && S_ISREG(opened.st_mode) &&
      opened.st_dev == named.st_dev && opened.st_ino == named.st_ino &&
      (path.filename().string().starts_with(own_prefix()) ||
       ::time(nullptr) - opened.st_mtime > kRestSeconds)) {
    ::unlink(path.c_str());
  }
  ::close(file);
}

// Tidying up is no task of the caller's: what cannot be read or removed stays, without an error.
void remove_abandoned_files(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder.empty() ? "." : folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_temporary(entry->path().filename().string())) remove_if_abandoned(entry->path());
  }
}

// Whether a new temporary file is ours for good: locked, and not removed by another process that
// found it in the moment before. Where the file system has no locks nobody else can take one.
bool take(int descriptor) {
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  struct stat status = {};
  return ::fstat(descriptor, &status) != 0 || status.st_nlink > 0;
}

}  // namespace

fs::path follow_links(const fs::path& path) {
  std::error_code error;
  fs::path target = path;
  for (int links = 0; fs::is_symlink(target, error); ++links) {
    if (links == kMaxLinks) {
      fail(path, "cannot write: too many levels of symbolic links");
    }
    const fs::path next = fs::read_symlink(target, error);
    if (error) {
      fail(path, "cannot follow the symbolic link: " + error.message());
    }
    target = target.parent_path() / next;
  }
  return target;
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  refuse_unsuitable_target(path_, path_);
  target_ = follow_links(path_);
  open_temporary();
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::open_temporary() {
  static std::atomic<unsigned> counter = 0;
  remove_abandoned_files(target_.parent_path());
  while (true) {
    temporary_ = target_.parent_path() / (own_prefix() + std::to_string(::getpid()) + "-" +
                                          std::to_string(counter++) + std::string(kSuffix));
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) {
      if (take(descriptor_)) return;
      discard();
    } else if (errno != EEXIST) {
      const int reason = errno;
      temporary_.clear();
      fail(path_, "cannot write: " + std::generic_category().message(reason));
    }
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    check(written >= 0, "cannot write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  struct stat former;
  if (::stat(target_.c_str(), &former) == 0) {
    check(::fchmod(descriptor_, former.st_mode & 0777) == 0, "cannot set the permissions");
  }
  check(::fsync(descriptor_) == 0, "cannot write");
  check(::rename(temporary_.c_str(), target_.c_str()) == 0, "cannot replace the file");
  temporary_.clear();
  // Only now: the lock goes with it. All is on the disk, so nothing can fail any more.
  ::close(std::exchange(descriptor_, -1));
}

void AtomicFile::check(bool success, const char* step) const {
  if (!success) {
    fail(path_, std::string(step) + ": " + std::generic_category().message(errno));
  }
}

void AtomicFile::discard() noexcept {
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
    temporary_.clear();
  }
  if (descriptor_ >= 0) {
    ::close(std::exchange(descriptor_, -1));
  }
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

}  // namespace tensorquant
