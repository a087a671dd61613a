#include "tensorquant/measure/interleaved.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <numeric>
#include <random>

namespace tensorquant::measure {
namespace {

double seconds_of(const std::function<void()>& run, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) run();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / calls;
}

}  // namespace

double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  const auto i = static_cast<std::size_t>(part * static_cast<double>(values.size()));
  return values[std::min(i, values.size() - 1)];
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

int calls_for(const std::function<void()>& run, double seconds) {
  run();
  const double once = std::max(std::min(seconds_of(run, 1), seconds_of(run, 1)), 1e-9);
  return static_cast<int>(std::clamp(seconds / once, 1.0, 1e6));
}

void run_interleaved(std::vector<Case>& cases, int rounds) {
  std::mt19937 random(1);
  std::vector<std::size_t> order(cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int round = -2; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::size_t i : order) {
      const double seconds = seconds_of(cases[i].run, cases[i].calls);
      if (round >= 0) cases[i].seconds.push_back(seconds);
    }
  }
}

double ratio(const Case& a, const Case& b, double part) {
  std::vector<double> ratios(a.seconds.size());
  std::transform(a.seconds.begin(), a.seconds.end(), b.seconds.begin(), ratios.begin(),
                 std::divides());
  return quantile(std::move(ratios), part);
}

}  // namespace tensorquant::measure
