// Every float32 there is, kernel against reference, bit for bit.
//
//   exhaustive [--everywhere | --stride N] [--target NAME] [--threads N] [STRING...]
//
// Without strings: those of strings.h. --everywhere asks the reference even where it cannot change;
// --stride N takes every N-th of the 2^32 bit patterns, N odd. See comparison.h.
// Exit code 0: no difference, 1: some, 2: the command line is wrong.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/exhaustive/comparison.h"
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

struct Options {
  bool asks_everywhere = false;
  std::optional<std::uint32_t> stride = {};
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::optional<SimdTarget> target = {};
  std::vector<std::string> strings = {};
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
    if (argument == "--everywhere") {
      options.asks_everywhere = true;
      continue;
    }
    const std::string_view value = i + 1 < arguments.size() ? arguments[++i] : "";
    if (argument == "--stride") {
      options.stride = positive_number(argument, value);
      if (*options.stride % 2 == 0) throw Error("--stride: expected an odd number");
    } else if (argument == "--threads") {
      options.threads = static_cast<int>(positive_number(argument, value));
    } else if (argument == "--target") {
      options.target = target_named(value);
    } else {
      throw Error("unknown option '" + std::string(argument) + "'");
    }
  }
  if (options.asks_everywhere && options.stride) {
    throw Error("--everywhere and --stride: a sample is asked for everywhere");
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
  const std::uint64_t patterns = options.stride ? sample_size(*options.stride) : kPatterns;
  std::uint64_t differences = 0;
  for (const std::string& spec : options.strings) {
    const auto begin = Clock::now();
    const std::uint64_t different =
        options.stride ? compare_sample(spec, options.threads, *options.stride)
                       : compare_all(spec, options.threads, options.asks_everywhere);
    differences += different;
    std::printf("%-48s %10llu patterns %10llu differ %8.1f s\n", spec.c_str(),
                static_cast<unsigned long long>(patterns),
                static_cast<unsigned long long>(different), seconds_since(begin));
    std::fflush(stdout);
  }
  std::printf("%zu strings x %llu patterns on %s, %llu differ, %.1f minutes\n",
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
