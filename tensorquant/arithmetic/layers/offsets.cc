#include "tensorquant/arithmetic/layers/offsets.h"

#include <utility>

namespace tensorquant {

using Sizes = std::vector<std::int64_t>;

Sizes points(const Sizes& box, const Sizes& steps, const Sizes& strides) {
  Sizes offsets = {0};
  for (std::size_t d = 0; d < box.size(); ++d) {
    const auto count = static_cast<std::size_t>(box[d]);
    Sizes longer(offsets.size() * count);
    for (std::size_t j = 0; j < offsets.size(); ++j) {
      for (std::size_t i = 0; i < count; ++i) {
        longer[j * count + i] = offsets[j] + static_cast<std::int64_t>(i) * steps[d] * strides[d];
      }
    }
    offsets = std::move(longer);
  }
  return offsets;
}

Sizes strides_of(const Sizes& sizes) {
  Sizes strides(sizes.size(), 1);
  for (std::size_t d = sizes.size(); d-- > 1;) strides[d - 1] = strides[d] * sizes[d];
  return strides;
}

Sizes sums_of(const Sizes& a, const Sizes& b) {
  Sizes sums(a.size() * b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) sums[i * b.size() + j] = a[i] + b[j];
  }
  return sums;
}

Sizes multiples(std::int64_t count, std::int64_t step) { return points({count}, {step}, {1}); }

}  // namespace tensorquant
