#ifndef FUZZ_INPUT_H_
#define FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tensorquant/base/error.h"

// What libFuzzer calls, once an input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tensorquant {

// A finding: says what is wrong and ends the process, which makes libFuzzer keep the input.
[[noreturn]] inline void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

inline void require(bool holds, const std::string& claim) {
  if (!holds) finding("does not hold: " + claim);
}

// Bad input may throw an Error of one line. Anything else that is thrown ends the process.
template <class Action>
void only_errors(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos,
            "an error is one line");
  }
}

// An input's bytes, taken from the front. Where they end, zeros follow.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  template <class T>
  T take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value = {};
    const std::size_t size = std::min(sizeof value, rest_.size());
    if (size > 0) std::memcpy(&value, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return value;
  }

  // A number in [lowest, highest], from one byte.
  int between(int lowest, int highest) {
    return lowest + take<std::uint8_t>() % (highest - lowest + 1);
  }

  std::span<const std::byte> bytes() const { return std::as_bytes(rest_); }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(rest_.data()), rest_.size()};
  }

  // As many whole values as the rest has.
  template <class T>
  std::vector<T> values() const {
    std::vector<T> all(rest_.size() / sizeof(T));
    if (!all.empty()) std::memcpy(all.data(), rest_.data(), all.size() * sizeof(T));
    return all;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace tensorquant

#endif  // FUZZ_INPUT_H_
