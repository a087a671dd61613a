#include "tensorquant/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;

// "process 1234 on host", as the holder wrote it; what stands there is not to be relied on.
std::string holder_of(int descriptor) {
  char text[128];
  const ::ssize_t size = ::pread(descriptor, text, sizeof text, 0);
  std::string holder(text, static_cast<std::size_t>(std::max<::ssize_t>(size, 0)));
  const bool printable =
      std::all_of(holder.begin(), holder.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return printable && !holder.empty() ? " (" + holder + ")" : "";
}

void write_holder(int descriptor) {
  char host[65] = {};
  ::gethostname(host, sizeof host - 1);
  const std::string holder = "process " + std::to_string(::getpid()) + " on " + host;
  // A courtesy: without it the message just says less.
  if (::ftruncate(descriptor, 0) != 0 ||
      ::pwrite(descriptor, holder.data(), holder.size(), 0) < 0) {
    return;
  }
}

// The former holder may have removed the file between our opening and locking it.
bool is_named(int descriptor, const fs::path& path) {
  struct stat opened = {}, named = {};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

FileLock::FileLock(const fs::path& path)
    : lock_(follow_links(path).string() + ".tensorquant-lock") {
  const auto fail = [&path](const std::string& reason) {
    throw Error(path.string() + ": " + reason);
  };
  while (true) {
    descriptor_ = ::open(lock_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      fail("cannot write " + lock_.string() + ": " + std::generic_category().message(errno));
    }
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      const std::string holder = holder_of(descriptor_);
      ::close(descriptor_);
      fail("another run writes this file" + holder);
    }
    if (is_named(descriptor_, lock_)) break;
    ::close(descriptor_);
  }
  write_holder(descriptor_);
}

FileLock::~FileLock() {
  // While the lock is held, so that nobody who has it loses its name.
  ::unlink(lock_.c_str());
  ::close(descriptor_);
}

}  // namespace tensorquant
