#ifndef BENCH_INTERLEAVED_H_
#define BENCH_INTERLEAVED_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace tensorquant::bench {

// One of the things that are measured against each other.
struct Case {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds = {};  // of each round
};

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Runs all cases once a round, in an order that changes from round to round, so that a disturbance
// of the machine meets all of them. The first two rounds warm up and do not count.
inline void run_interleaved(std::vector<Case>& cases, int rounds) {
  std::mt19937 random(1);
  std::vector<std::size_t> order(cases.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (int round = -2; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::size_t i : order) {
      const auto start = std::chrono::steady_clock::now();
      cases[i].run();
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      if (round >= 0) cases[i].seconds.push_back(elapsed.count());
    }
  }
}

// The median over the rounds of this case's time over the other's in the same round.
inline double ratio(const Case& a, const Case& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.seconds.size(); ++i) ratios.push_back(a.seconds[i] / b.seconds[i]);
  return median(ratios);
}

}  // namespace tensorquant::bench

#endif  // BENCH_INTERLEAVED_H_
