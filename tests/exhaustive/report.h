#ifndef TESTS_EXHAUSTIVE_REPORT_H_
#define TESTS_EXHAUSTIVE_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>

namespace tensorquant {

inline constexpr std::uint64_t kPatterns = std::uint64_t{1} << 32;

// Elements of a tensor: so few that the kernel stays on the thread that calls it.
inline constexpr std::uint32_t kTensor = 16384;

bool all_same_bits(std::span<const float> a, std::span<const float> b);

// Counts and prints differences between a kernel and what it is compared with, and shows how far
// the comparison is, from any thread.
class Report {
 public:
  explicit Report(std::string spec) : spec_(std::move(spec)) {}

  void compare(float x, std::size_t element, float kernel, float wanted);
  void compare(std::span<const float> in, std::span<const float> kernel,
               std::span<const float> wanted);
  void show_progress(std::uint64_t done, std::uint64_t all);

  std::uint64_t differences() const { return differences_; }

 private:
  std::string spec_;
  std::mutex mutex_;
  std::uint64_t differences_ = 0;
};

// piece(0) ... piece(pieces - 1), each once.
void on_threads(int threads, std::uint64_t pieces, Report& report,
                const std::function<void(std::uint64_t)>& piece);

}  // namespace tensorquant

#endif  // TESTS_EXHAUSTIVE_REPORT_H_
