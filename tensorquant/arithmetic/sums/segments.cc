#include "tensorquant/arithmetic/sums/segments.h"

namespace tensorquant {

Arithmetic with_outer(Arithmetic arithmetic, bool has_scales) {
  if (has_scales && !arithmetic.outer) arithmetic.outer = OuterAccumulator{};
  return arithmetic;
}

namespace {

// is_new(k): whether tap k has other scales than the one before it.
template <class IsNew>
std::vector<std::size_t> ends_of_segments(const Arithmetic& arithmetic, std::size_t taps,
                                          const IsNew& is_new) {
  if (taps == 0) return {};
  std::vector<std::size_t> ends;
  if (arithmetic.outer) {
    const auto every = static_cast<std::size_t>(arithmetic.outer->every);
    for (std::size_t k = 1; k < taps; ++k) {
      if ((every != 0 && k % every == 0) || is_new(k)) ends.push_back(k);
    }
  }
  ends.push_back(taps);
  return ends;
}

}  // namespace

template <class T>
std::vector<std::size_t> segment_ends(const Arithmetic& arithmetic, const SumsOfProducts<T>& sums) {
  const auto changes = [](const Factor<T>& factor, std::size_t k) {
    return factor.scales && factor.scales->taps[k] != factor.scales->taps[k - 1];
  };
  return ends_of_segments(arithmetic, sums.taps(),
                          [&](std::size_t k) { return changes(sums.a, k) || changes(sums.b, k); });
}

std::vector<std::size_t> segment_ends(const Arithmetic& arithmetic,
                                      const std::vector<std::int64_t>& places) {
  std::int64_t place = -1;
  return ends_of_segments(arithmetic, places.size(), [&](std::size_t k) {
    if (place < 0) place = places[k - 1];
    const bool is_new = place >= 0 && places[k] >= 0 && places[k] != place;
    if (places[k] >= 0) place = places[k];
    return is_new;
  });
}

template std::vector<std::size_t> segment_ends(const Arithmetic&, const SumsOfProducts<float>&);
template std::vector<std::size_t> segment_ends(const Arithmetic&, const SumsOfProducts<double>&);

}  // namespace tensorquant
