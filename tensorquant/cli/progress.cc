#include "tensorquant/cli/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace tensorquant::cli {
namespace {

std::string minutes(double seconds) {
  const long whole = std::lround(seconds);
  char text[32];
  std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

}  // namespace

Progress::Progress(std::size_t total)
    : visible_(isatty(STDERR_FILENO) == 1), total_(total), start_(Clock::now()), shown_(start_) {}

Progress::~Progress() {
  if (visible_) std::fputs("\r\033[K", stderr);
}

void Progress::update(std::size_t done, const std::string& text) {
  const Clock::time_point now = Clock::now();
  if (!visible_ || done == 0 || now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  const double spent = std::chrono::duration<double>(now - start_).count();
  const double left = spent / static_cast<double>(done) * static_cast<double>(total_ - done);
  std::fprintf(stderr, "\r%s  %s left\033[K", text.c_str(), minutes(left).c_str());
  std::fflush(stderr);
}

}  // namespace tensorquant::cli
