#ifndef TENSORQUANT_CALIBRATION_TEST_VALUES_H_
#define TENSORQUANT_CALIBRATION_TEST_VALUES_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include "tensorquant/base/parallel.h"
#include "tests/floats.h"

namespace tensorquant {

// All kinds of numbers, and so many that several threads take part.
inline std::vector<float> many_values() {
  std::vector<float> values = interesting_floats<float>();
  for (const auto& more :
       {random_bit_patterns<float>(300'000, 1), random_values<float>(700'000, 2)}) {
    values.insert(values.end(), more.begin(), more.end());
  }
  return values;
}

inline std::vector<float> finite_values() {
  std::vector<float> values = many_values();
  std::erase_if(values, [](float x) { return !std::isfinite(x); });
  return values;
}

// The threads of the library while it lives.
class ScopedThreads {
 public:
  explicit ScopedThreads(int threads) { set_num_threads(threads); }
  ~ScopedThreads() { set_num_threads(0); }
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;
};

// A sum is that of its numbers: not of the threads, the pieces that they come in or their order.
template <class Sum>
void expect_a_function_of_the_numbers(const Sum& empty) {
  std::vector<float> values = many_values();
  Sum wanted = empty;
  wanted.add(std::span<const float>(values));
  std::shuffle(values.begin(), values.end(), std::mt19937(3));
  for (const int threads : {1, 2, 5}) {
    const ScopedThreads scoped(threads);
    Sum whole = empty;
    whole.add(std::span<const float>(values));
    EXPECT_TRUE(whole == wanted) << threads << " threads";
  }
  const std::span<const float> few = std::span(values).first(20'000);
  Sum sum_of_few = empty;
  sum_of_few.add(few);
  for (const std::size_t size : {1, 7, 128}) {
    Sum in_pieces = empty;
    for (std::size_t begin = 0; begin < few.size(); begin += size) {
      in_pieces.add(few.subspan(begin, std::min(size, few.size() - begin)));
    }
    EXPECT_TRUE(in_pieces == sum_of_few) << "pieces of " << size;
  }
  Sum first = empty, second = empty;
  first.add(std::span<const float>(values).first(77'777));
  second.add(std::span<const float>(values).subspan(77'777));
  Sum other_way = second;
  other_way.merge(first);
  first.merge(second);
  EXPECT_TRUE(first == wanted);
  EXPECT_TRUE(other_way == wanted);
  const std::vector<double> doubles(values.begin(), values.end());
  Sum in_double = empty;
  in_double.add(std::span<const double>(doubles));
  EXPECT_TRUE(in_double == wanted);
}

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_TEST_VALUES_H_
