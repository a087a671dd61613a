#ifndef TENSORQUANT_ARITHMETIC_EXACT_NATURAL_H_
#define TENSORQUANT_ARITHMETIC_EXACT_NATURAL_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorquant/base/bits.h"

namespace tensorquant {

// An integer of any length, 0 or more. What is rounded is rounded down.
class Natural {
 public:
  Natural() = default;
  explicit Natural(std::uint64_t x);

  int bit_width() const;
  bool is_zero() const { return limbs_.empty(); }
  bool bit(int position) const;
  // 128 bits from this one on.
  Uint128 bits_from(int position) const;
  // Whether the bits below this one are all 0.
  bool is_multiple_of_power(int position) const;
  double times_power(int exponent) const;  // about this number times 2^exponent

  Natural operator+(const Natural& other) const;
  Natural operator-(const Natural& other) const;  // of one that is not larger
  Natural operator*(const Natural& other) const;
  Natural operator*(std::uint64_t factor) const;
  Natural operator/(const Natural& divisor) const;  // which is not 0; slow
  Natural operator/(std::uint64_t divisor) const;
  Natural operator<<(int bits) const;
  Natural operator>>(int bits) const;
  std::strong_ordering operator<=>(const Natural& other) const;
  bool operator==(const Natural&) const = default;

  Natural root() const;

 private:
  void trim();
  std::uint64_t limb(std::size_t i) const { return i < limbs_.size() ? limbs_[i] : 0; }

  std::vector<std::uint64_t> limbs_;  // the last ones first; the highest is not 0
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_EXACT_NATURAL_H_
