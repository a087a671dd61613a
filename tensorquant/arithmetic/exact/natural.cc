#include "tensorquant/arithmetic/exact/natural.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tensorquant {
namespace {

constexpr int kBits = 64;

std::uint64_t low(Uint128 x) { return static_cast<std::uint64_t>(x); }
std::uint64_t high(Uint128 x) { return static_cast<std::uint64_t>(x >> kBits); }
std::size_t limb_of(int position) { return static_cast<std::size_t>(position / kBits); }

}  // namespace

Natural::Natural(std::uint64_t x) {
  if (x != 0) limbs_.push_back(x);
}

void Natural::trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
}

int Natural::bit_width() const {
  if (limbs_.empty()) return 0;
  return kBits * (static_cast<int>(limbs_.size()) - 1) +
         static_cast<int>(std::bit_width(limbs_.back()));
}

bool Natural::bit(int position) const {
  return (limb(limb_of(position)) >> (position % kBits) & 1) != 0;
}

Uint128 Natural::bits_from(int position) const {
  const Natural rest = *this >> position;
  return static_cast<Uint128>(rest.limb(1)) << kBits | rest.limb(0);
}

bool Natural::is_multiple_of_power(int position) const {
  const std::size_t whole = limb_of(position);
  for (std::size_t i = 0; i < std::min(whole, limbs_.size()); ++i) {
    if (limbs_[i] != 0) return false;
  }
  const int rest = position % kBits;
  return rest == 0 || limb(whole) << (kBits - rest) == 0;
}

double Natural::times_power(int exponent) const {
  const int shift = std::max(0, bit_width() - kBits);
  return std::ldexp(static_cast<double>(low(bits_from(shift))), shift + exponent);
}

Natural Natural::operator+(const Natural& other) const {
  Natural sum;
  const std::size_t size = std::max(limbs_.size(), other.limbs_.size());
  sum.limbs_.reserve(size + 1);
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const Uint128 x = static_cast<Uint128>(limb(i)) + other.limb(i) + carry;
    sum.limbs_.push_back(low(x));
    carry = high(x);
  }
  if (carry != 0) sum.limbs_.push_back(carry);
  return sum;
}

Natural Natural::operator-(const Natural& other) const {
  Natural difference = *this;
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    const Uint128 x = static_cast<Uint128>(limb(i)) - other.limb(i) - borrow;
    difference.limbs_[i] = low(x);
    borrow = high(x) != 0 ? 1 : 0;
  }
  difference.trim();
  return difference;
}

Natural Natural::operator*(const Natural& other) const {
  Natural product;
  product.limbs_.assign(limbs_.size() + other.limbs_.size(), 0);
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < other.limbs_.size(); ++j) {
      const Uint128 x =
          static_cast<Uint128>(limbs_[i]) * other.limbs_[j] + product.limbs_[i + j] + carry;
      product.limbs_[i + j] = low(x);
      carry = high(x);
    }
    product.limbs_[i + other.limbs_.size()] = carry;
  }
  product.trim();
  return product;
}

Natural Natural::operator*(std::uint64_t factor) const { return *this * Natural(factor); }

Natural Natural::operator/(const Natural& divisor) const {
  Natural quotient, rest;
  quotient.limbs_.assign(limbs_.size(), 0);
  for (int i = bit_width() - 1; i >= 0; --i) {
    rest = rest << 1;
    if (bit(i)) rest = rest + Natural(1);
    if (rest < divisor) continue;
    rest = rest - divisor;
    quotient.limbs_[limb_of(i)] |= std::uint64_t{1} << (i % kBits);
  }
  quotient.trim();
  return quotient;
}

Natural Natural::operator/(std::uint64_t divisor) const {
  Natural quotient = *this;
  std::uint64_t rest = 0;
  for (std::size_t i = limbs_.size(); i-- > 0;) {
    const Uint128 x = static_cast<Uint128>(rest) << kBits | limbs_[i];
    quotient.limbs_[i] = low(x / divisor);
    rest = low(x % divisor);
  }
  quotient.trim();
  return quotient;
}

Natural Natural::operator<<(int bits) const {
  if (limbs_.empty()) return {};
  Natural shifted;
  shifted.limbs_.assign(limb_of(bits), 0);
  const int shift = bits % kBits;
  std::uint64_t carry = 0;
  for (const std::uint64_t x : limbs_) {
    shifted.limbs_.push_back(x << shift | carry);
    carry = shift == 0 ? 0 : x >> (kBits - shift);
  }
  if (carry != 0) shifted.limbs_.push_back(carry);
  return shifted;
}

Natural Natural::operator>>(int bits) const {
  Natural shifted;
  const int shift = bits % kBits;
  for (std::size_t i = limb_of(bits); i < limbs_.size(); ++i) {
    const std::uint64_t above = shift == 0 ? 0 : limb(i + 1) << (kBits - shift);
    shifted.limbs_.push_back(limbs_[i] >> shift | above);
  }
  shifted.trim();
  return shifted;
}

std::strong_ordering Natural::operator<=>(const Natural& other) const {
  if (limbs_.size() != other.limbs_.size()) return limbs_.size() <=> other.limbs_.size();
  return std::lexicographical_compare_three_way(limbs_.rbegin(), limbs_.rend(),
                                                other.limbs_.rbegin(), other.limbs_.rend());
}

Natural Natural::root() const {
  if (limbs_.empty()) return {};
  // Newton's steps from above end at the root.
  Natural x = Natural(1) << ((bit_width() + 1) / 2);
  for (;;) {
    const Natural next = (x + *this / x) >> 1;
    if (next >= x) return x;
    x = next;
  }
}

}  // namespace tensorquant
