#include "tensorquant/search/front.h"

#include <algorithm>
#include <numeric>

namespace tensorquant {

bool comes_before(const CostAndAccuracy& a, const CostAndAccuracy& b) {
  return a.cost != b.cost ? a.cost < b.cost : a.accuracy > b.accuracy;
}

std::vector<std::size_t> front(std::span<const CostAndAccuracy> maps) {
  std::vector<std::size_t> order(maps.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return comes_before(maps[a], maps[b]); });
  std::vector<std::size_t> on_front;
  for (const std::size_t i : order) {
    if (on_front.empty() || maps[i].accuracy > maps[on_front.back()].accuracy) {
      on_front.push_back(i);
    }
  }
  return on_front;
}

}  // namespace tensorquant
