#include "tensorquant/base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;

// Linux follows at most this many links before it reports a loop.
constexpr int kMaxLinks = 40;

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw Error(path.string() + ": " + reason);
}

// The file that a chain of links leads to; it need not exist.
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

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  refuse_unsuitable_target(path_, path_);
  target_ = follow_links(path_);
  open_temporary();
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::open_temporary() {
  static std::atomic<unsigned> counter = 0;
  do {
    temporary_ = target_.parent_path() / (".tensorquant-" + std::to_string(::getpid()) + "-" +
                                          std::to_string(counter++) + ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    const int reason = errno;
    temporary_.clear();
    fail(path_, "cannot write: " + std::generic_category().message(reason));
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
  check(::close(std::exchange(descriptor_, -1)) == 0, "cannot write");
  check(::rename(temporary_.c_str(), target_.c_str()) == 0, "cannot replace the file");
  temporary_.clear();
}

void AtomicFile::check(bool success, const char* step) const {
  if (!success) {
    fail(path_, std::string(step) + ": " + std::generic_category().message(errno));
  }
}

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) {
    ::close(std::exchange(descriptor_, -1));
  }
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

}  // namespace tensorquant
