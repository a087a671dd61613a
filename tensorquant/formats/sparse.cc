#include "tensorquant/formats/sparse.h"

namespace tensorquant {

template <class T>
FormatFacts facts(const Sparse& format) {
  const T threshold = static_cast<T>(format.threshold);
  return {.lowest = -std::numeric_limits<double>::infinity(),
          .highest = std::numeric_limits<double>::infinity(),
          .smallest_positive = threshold > 0 ? std::optional<double>(threshold) : std::nullopt};
}

template <class T>
std::vector<double> values(const Sparse&) {
  return {};
}

bool fits(const Sparse&, const FloatingPoint&) { return true; }

template FormatFacts facts<float>(const Sparse&);
template FormatFacts facts<double>(const Sparse&);
template std::vector<double> values<float>(const Sparse&);
template std::vector<double> values<double>(const Sparse&);

}  // namespace tensorquant
