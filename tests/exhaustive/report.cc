#include "tests/exhaustive/report.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "tensorquant/base/bits.h"

namespace tensorquant {
namespace {

constexpr std::uint64_t kShownDifferences = 5;

}  // namespace

bool all_same_bits(std::span<const float> a, std::span<const float> b) {
  const auto x = std::as_bytes(a), y = std::as_bytes(b);
  return std::memcmp(x.data(), y.data(), x.size()) == 0;
}

void Report::compare(float x, std::size_t element, float kernel, float wanted) {
  if (to_bits(kernel) == to_bits(wanted)) return;
  const std::lock_guard lock(mutex_);
  if (++differences_ > kShownDifferences) return;
  std::printf("%s: x = %.9g (%08x), element %zu: kernel %.9g (%08x), wanted %.9g (%08x)\n",
              spec_.c_str(), static_cast<double>(x), to_bits(x), element,
              static_cast<double>(kernel), to_bits(kernel), static_cast<double>(wanted),
              to_bits(wanted));
}

void Report::compare(std::span<const float> in, std::span<const float> kernel,
                     std::span<const float> wanted) {
  if (all_same_bits(kernel, wanted)) return;
  for (std::size_t i = 0; i < in.size(); ++i) compare(in[i], i, kernel[i], wanted[i]);
}

void Report::show_progress(std::uint64_t done, std::uint64_t all) {
  static const bool is_terminal = isatty(STDERR_FILENO) != 0;
  if (!is_terminal) return;
  const std::lock_guard lock(mutex_);
  std::fprintf(stderr, "\r\033[K%s %d %%", spec_.c_str(), static_cast<int>(100 * done / all));
  if (done == all) std::fprintf(stderr, "\r\033[K");
}

void on_threads(int threads, std::uint64_t pieces, Report& report,
                const std::function<void(std::uint64_t)>& piece) {
  std::atomic<std::uint64_t> next = 0;
  const auto work = [&] {
    for (std::uint64_t i = next++; i < pieces; i = next++) {
      piece(i);
      report.show_progress(i + 1, pieces);
    }
  };
  std::vector<std::thread> all(static_cast<std::size_t>(threads));
  for (std::thread& thread : all) thread = std::thread(work);
  for (std::thread& thread : all) thread.join();
}

}  // namespace tensorquant
