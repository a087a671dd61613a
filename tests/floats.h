#ifndef TESTS_FLOATS_H_
#define TESTS_FLOATS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tensorquant/base/bits.h"

namespace tensorquant {

// "-0.1 (bdcccccd)"
template <class T>
std::string hex(T x) {
  char text[64];
  std::snprintf(text, sizeof text, "%.17g (%0*llx)", static_cast<double>(x),
                static_cast<int>(2 * sizeof(T)), static_cast<unsigned long long>(to_bits(x)));
  return text;
}

template <class T>
testing::AssertionResult same_bits(T a, T b) {
  if (to_bits(a) == to_bits(b)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << hex(a) << " is not " << hex(b);
}

#define EXPECT_SAME_BITS(a, b) EXPECT_TRUE(::tensorquant::same_bits(a, b))

// Zeros, subnormals, ties, powers of two and their neighbours, the largest value, infinities, NaN;
// positive and negative.
template <class T>
std::vector<T> interesting_floats() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> magnitudes = {0,
                               Limits::denorm_min(),
                               3 * Limits::denorm_min(),
                               Limits::min() - Limits::denorm_min(),
                               Limits::infinity(),
                               Limits::quiet_NaN()};
  const auto with_neighbours = [&](T x) {
    magnitudes.insert(magnitudes.end(),
                      {std::nextafter(x, T{0}), x, std::nextafter(x, Limits::infinity())});
  };
  with_neighbours(Limits::max());
  for (int e = kMinExponent<T> + 1; e <= kMaxExponent<T>; ++e) {
    with_neighbours(std::ldexp(T{1}, e));
    with_neighbours(std::ldexp(T{1.5}, e));
    magnitudes.push_back(std::ldexp(T{1.25}, e));
    magnitudes.push_back(std::ldexp(T{1.75}, e));
  }
  for (int fraction : {-20, -4, 0, 4, 8, 12}) {
    for (int k = 0; k < 130; ++k)
      with_neighbours(std::ldexp(static_cast<T>(k) + T{0.5}, -fraction));
  }
  std::vector<T> both = magnitudes;
  for (T x : magnitudes) both.push_back(-x);
  return both;
}

// Bit patterns of all kinds: most exponents are far out, NaN and infinity among them.
template <class T>
std::vector<T> random_bit_patterns(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<T> values(count);
  for (T& value : values) value = from_bits<T>(static_cast<BitsOf<T>>(random()));
  return values;
}

// Values as layers have them: magnitudes around one, some of them on coarse grids so that ties
// occur.
template <class T>
std::vector<T> random_values(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, 4);
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double x = normal(random);
    values[i] = static_cast<T>(i % 3 == 0 ? std::round(x * 32) / 32 : x);
  }
  return values;
}

}  // namespace tensorquant

#endif  // TESTS_FLOATS_H_
