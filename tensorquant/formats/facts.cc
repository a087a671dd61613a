#include "tensorquant/formats/facts.h"

namespace tensorquant {

std::vector<double> symmetric_values(const std::vector<double>& positive) {
  std::vector<double> all;
  for (auto y = positive.rbegin(); y != positive.rend(); ++y) all.push_back(-*y);
  all.push_back(0);
  all.insert(all.end(), positive.begin(), positive.end());
  return all;
}

}  // namespace tensorquant
