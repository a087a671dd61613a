#ifndef TENSORQUANT_BASE_HASH_H_
#define TENSORQUANT_BASE_HASH_H_

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

namespace tensorquant {

// FNV-1a of 64 bits: G. Fowler, L. C. Noll, K.-P. Vo. Of bytes of any type of
// one byte, whole or part by part.
class Fnv1a {
 public:
  template <class Bytes>
  Fnv1a& add(const Bytes& bytes) {
    for (const auto byte : bytes) {
      static_assert(sizeof byte == 1);
      value_ = (value_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    }
    return *this;
  }
  std::uint64_t value() const { return value_; }
  // 16 hexadecimal digits.
  std::string text() const {
    std::array<char, 17> text = {};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value_));
    return text.data();
  }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_HASH_H_
