// Every float32 there is, kernel against reference, bit for bit.
//
//   exhaustive [--stride N] [--target NAME] [--threads N] [STRING...]
//
// Without strings: those of strings.h. --stride N takes every N-th of the 2^32 bit patterns, N odd.
// Exit code 0: no difference, 1: some, 2: the command line is wrong.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/exhaustive/strings.h"

// The references spend two thirds of their time in libm's ldexp. This one takes its place in this
// program: a multiplication by a power of two is rounded once, just as ldexp is. check_ldexp()
// compares the two.
extern "C" double ldexp(double x, int n) noexcept {
  constexpr int kBias = 1023;
  if (n <= -kBias || n > kBias) return std::scalbn(x, n);
  return x * tensorquant::from_bits<double>(static_cast<std::uint64_t>(kBias + n) << 52);
}

namespace tensorquant {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kPatterns = std::uint64_t{1} << 32;
// Patterns that are quantized in one call, as a tensor. Small enough that the kernel stays on the
// thread that calls it.
constexpr std::size_t kTensor = 16384;
// Odd, so that index * kSpread mod 2^32 takes every value once; large, so that each tensor has
// numbers of all sizes and kinds side by side.
constexpr std::uint32_t kSpread = 0x9E3779B1;
constexpr std::uint64_t kShownDifferences = 5;

struct Options {
  std::uint32_t stride = 1;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::optional<SimdTarget> target = {};
  std::vector<std::string> strings = {};
};

struct Tensor {
  std::vector<float> in, out, wanted;
};

// All patterns of one string.
class Comparison {
 public:
  Comparison(std::string spec, const Options& options)
      : spec_(std::move(spec)),
        quantizer_(make_quantizer(spec_)),
        options_(options),
        count_((kPatterns + options.stride - 1) / options.stride) {}

  // The number of patterns that differ.
  std::uint64_t run() {
    std::vector<std::thread> threads;
    for (int i = 0; i < options_.threads; ++i) threads.emplace_back([this] { work(); });
    for (std::thread& thread : threads) thread.join();
    return differences_;
  }

  std::uint64_t count() const { return count_; }

 private:
  void work() {
    Tensor tensor;
    while (true) {
      const std::uint64_t number = next_++;
      const std::uint64_t begin = number * kTensor;
      if (begin >= count_) return;
      const std::uint64_t size = std::min<std::uint64_t>(kTensor, count_ - begin);
      tensor.in.resize(size);
      tensor.out.resize(size);
      tensor.wanted.resize(size);
      for (std::uint64_t i = 0; i < size; ++i) {
        tensor.in[i] =
            from_bits<float>(static_cast<std::uint32_t>((begin + i) * options_.stride) * kSpread);
      }
      // Each tensor has other random bits.
      compare(tensor, {.seed = 1, .step = static_cast<std::uint32_t>(number)});
      if (number % 256 == 0) show_progress(begin);
    }
  }

  void compare(Tensor& tensor, const Context& context) {
    const std::span<const float> in = tensor.in;
    std::visit(
        [&](const auto& format) {
          quantize_reference(format, in, std::span<float>(tensor.wanted), context);
        },
        *quantizer_->format());
    quantizer_->quantize(in, std::span<float>(tensor.out), context);
    const std::size_t bytes = in.size() * sizeof(float);
    if (std::memcmp(tensor.out.data(), tensor.wanted.data(), bytes) != 0) report(tensor);
  }

  void report(const Tensor& tensor) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < tensor.in.size(); ++i) {
      if (to_bits(tensor.out[i]) == to_bits(tensor.wanted[i])) continue;
      if (++differences_ > kShownDifferences) continue;
      std::printf("%s: x = %.9g (%08x), element %zu: kernel %.9g (%08x), reference %.9g (%08x)\n",
                  spec_.c_str(), static_cast<double>(tensor.in[i]), to_bits(tensor.in[i]), i,
                  static_cast<double>(tensor.out[i]), to_bits(tensor.out[i]),
                  static_cast<double>(tensor.wanted[i]), to_bits(tensor.wanted[i]));
    }
  }

  void show_progress(std::uint64_t done) {
    static const bool is_terminal = isatty(STDERR_FILENO) != 0;
    if (!is_terminal) return;
    const std::lock_guard lock(mutex_);
    std::fprintf(stderr, "\r\033[K%s %d %%", spec_.c_str(), static_cast<int>(100 * done / count_));
  }

  std::string spec_;
  std::shared_ptr<const Quantizer> quantizer_;
  const Options& options_;
  std::uint64_t count_;
  std::atomic<std::uint64_t> next_ = 0;
  std::mutex mutex_;
  std::uint64_t differences_ = 0;  // with the mutex
};

std::uint32_t positive_number(std::string_view option, std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) {
    throw Error(std::string(option) + ": expected a number of 1 or more, found '" +
                std::string(text) + "'");
  }
  return number;
}

SimdTarget target_named(std::string_view name) {
  std::string known;
  for (const SimdTarget& target : simd_targets()) {
    if (target.name == name) return target;
    known += " " + target.name;
  }
  throw Error("--target: this machine has" + known + ", not '" + std::string(name) + "'");
}

Options read_options(std::span<char*> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with("--")) {
      options.strings.emplace_back(argument);
      continue;
    }
    const std::string_view value = i + 1 < arguments.size() ? arguments[++i] : "";
    if (argument == "--stride") {
      options.stride = positive_number(argument, value);
      if (options.stride % 2 == 0) throw Error("--stride: expected an odd number");
    } else if (argument == "--threads") {
      options.threads = static_cast<int>(positive_number(argument, value));
    } else if (argument == "--target") {
      options.target = target_named(value);
    } else {
      throw Error("unknown option '" + std::string(argument) + "'");
    }
  }
  if (options.strings.empty()) options.strings = exhaustive_strings();
  return options;
}

// Every power of two that a reference can ask for, with arguments whose result is exact, is rounded
// among the subnormals, underflows and overflows.
void check_ldexp() {
  for (int exponent = -1074; exponent <= 1023; ++exponent) {
    const double power = std::scalbn(1.0, exponent);
    for (const double x :
         {power, -power, power * (1 + 0x1p-52), power * 1.5, power * (2 - 0x1p-52)}) {
      for (int n = -1100; n <= 1100; ++n) {
        if (to_bits(ldexp(x, n)) != to_bits(std::scalbn(x, n))) {
          throw Error("ldexp of this program is wrong");
        }
      }
    }
  }
}

int run(const Options& options) {
  check_ldexp();
  std::optional<ScopedSimdTarget> scoped;
  if (options.target) scoped.emplace(*options.target);
  const std::string target = options.target ? options.target->name : simd_targets().front().name;
  const auto start = Clock::now();
  const auto seconds_since = [](Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  };
  std::uint64_t patterns = 0;
  std::uint64_t differences = 0;
  for (const std::string& spec : options.strings) {
    const auto begin = Clock::now();
    Comparison comparison(spec, options);
    const std::uint64_t different = comparison.run();
    patterns += comparison.count();
    differences += different;
    if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
    std::printf("%-48s %10llu patterns %10llu differ %8.1f s\n", spec.c_str(),
                static_cast<unsigned long long>(comparison.count()),
                static_cast<unsigned long long>(different), seconds_since(begin));
    std::fflush(stdout);
  }
  std::printf("%zu strings, %llu comparisons on %s, %llu differ, %.1f minutes\n",
              options.strings.size(), static_cast<unsigned long long>(patterns), target.c_str(),
              static_cast<unsigned long long>(differences), seconds_since(start) / 60);
  return differences == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tensorquant

int main(int argc, char** argv) {
  try {
    return tensorquant::run(tensorquant::read_options(std::span(argv, argc).subspan(1)));
  } catch (const tensorquant::Error& error) {
    std::fprintf(stderr, "exhaustive: %s\n", error.what());
    return 2;
  }
}
