#include "tensorquant/formats/facts.h"

#include <algorithm>
#include <bit>

namespace tensorquant {

int bits_for(std::uint64_t count) {
  return std::max(1, static_cast<int>(std::bit_width(count - 1)));
}

std::vector<double> symmetric_values(const std::vector<double>& positive) {
  std::vector<double> all;
  for (auto y = positive.rbegin(); y != positive.rend(); ++y) all.push_back(-*y);
  all.push_back(0);
  all.insert(all.end(), positive.begin(), positive.end());
  return all;
}

}  // namespace tensorquant
