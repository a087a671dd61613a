#ifndef TENSORQUANT_BASE_BITS_H_
#define TENSORQUANT_BASE_BITS_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tensorquant {

// The unsigned integer as wide as a float32 or float64.
template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

__extension__ using Uint128 = unsigned __int128;  // of GCC and Clang

template <class T>
constexpr BitsOf<T> to_bits(T x) {
  return std::bit_cast<BitsOf<T>>(x);
}

template <class T>
constexpr T from_bits(BitsOf<T> bits) {
  return std::bit_cast<T>(bits);
}

// The exponents of the powers of two that T has, subnormals included: -149..127 for float32,
// -1074..1023 for float64.
template <class T>
constexpr int kMinExponent = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;
template <class T>
constexpr int kMaxExponent = std::numeric_limits<T>::max_exponent - 1;

// The largest value of T that is at most x; x is finite or infinite, not NaN.
template <class T>
T round_down_to(double x) {
  const T nearest = static_cast<T>(x);
  return static_cast<double>(nearest) > x
             ? std::nextafter(nearest, -std::numeric_limits<T>::infinity())
             : nearest;
}

// The value of T closest to x whose magnitude is not larger; x is finite.
template <class T>
T truncate_to(double x) {
  return static_cast<T>(std::copysign(round_down_to<T>(std::abs(x)), x));
}

// x, or where it is infinite T's largest number with its sign.
template <class T>
T finite(T x) {
  constexpr T kLargest = std::numeric_limits<T>::max();
  return x > kLargest ? kLargest : x < -kLargest ? -kLargest : x;
}

// a + b cut towards zero to a double; both are finite.
inline double truncated_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  const double error = (a - (sum - b_part)) + (b - b_part);  // of the sum, exactly: Knuth's TwoSum
  return sum != 0 && (sum > 0) != (error > 0) && error != 0 ? std::nextafter(sum, 0.0) : sum;
}

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_BITS_H_
