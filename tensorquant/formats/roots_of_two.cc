#include "tensorquant/formats/roots_of_two.h"

#include <array>
#include <cstdint>

namespace tensorquant {
namespace {

struct Words {
  std::uint64_t high, low;
};

// 2^(1/2), 2^(1/4), ... 2^(1/512), cut.
constexpr std::array<Words, 9> kRoots = {{{0x5A827999FCEF3242, 0x2CBEC4D9BAA55F4F},
                                          {0x4C1BF828C6DC54B7, 0xA356918C17217B7B},
                                          {0x45CAE0F1F545EB73, 0x7DF23143AC529E48},
                                          {0x42D561B3E6243D8A, 0x62E4ADC610AA60D9},
                                          {0x4166C34C5615D0EB, 0x9F1523ADA32905FF},
                                          {0x40B268F9DE0183B9, 0xBDF2B293DE8A6F7A},
                                          {0x4058F6A7ECCCD5B6, 0x1299AB8CDB737E90},
                                          {0x402C6BE96AF2FB58, 0x4A6AC4FB04772551},
                                          {0x4016321B687027A8, 0x7FC674A533CBD9E7}}};

// The product of two numbers whose own is below 2: cut, and without the product of the low words,
// which is less than four of the last bit.
Uint128 product(Uint128 a, Words b) {
  const auto a_high = static_cast<std::uint64_t>(a >> 64), a_low = static_cast<std::uint64_t>(a);
  const Uint128 high = Uint128{a_high} * b.high;
  const Uint128 middle = Uint128{a_high} * b.low + Uint128{a_low} * b.high;
  return (high << (128 - kRootBits)) + (middle >> (kRootBits - 64));
}

Uint128 product_of_roots(int n) {
  if (n == kRootSteps) return Uint128{1} << (kRootBits + 1);
  Uint128 root = Uint128{1} << kRootBits;
  int half = kRootSteps / 2;
  for (const Words& factor : kRoots) {
    if ((n & half) != 0) root = product(root, factor);
    half /= 2;
  }
  return root;
}

}  // namespace

Uint128 root_of_two(int n) {
  static const std::array<Uint128, kRootSteps + 1> roots = [] {
    std::array<Uint128, kRootSteps + 1> all;
    for (int i = 0; i <= kRootSteps; ++i) all[static_cast<std::size_t>(i)] = product_of_roots(i);
    return all;
  }();
  return roots[static_cast<std::size_t>(n)];
}

}  // namespace tensorquant
