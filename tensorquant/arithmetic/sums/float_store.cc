#include "tensorquant/arithmetic/sums/float_store.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/float_store.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "tensorquant/arithmetic/sums/neighbours.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void StoreAll(const Bounds<float>& limits, std::span<const double> values, float* to) {
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128  // which know no infinite float32
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const auto lowest = hn::Set(df, limits.lowest), highest = hn::Set(df, limits.highest);
  const auto nan = hn::Set(df, std::numeric_limits<float>::quiet_NaN());
  for (; i + hn::Lanes(d) <= values.size(); i += hn::Lanes(d)) {
    const auto x = hn::DemoteTo(df, hn::LoadU(d, values.data() + i));
    // Not Min and Max, which may take one zero for the other.
    const auto y =
        hn::IfThenElse(hn::Lt(x, lowest), lowest, hn::IfThenElse(hn::Gt(x, highest), highest, x));
    hn::StoreU(hn::IfThenElse(hn::Eq(x, x), y, nan), df, to + i);
  }
#endif
  for (; i < values.size(); ++i) {
    const float y = std::clamp(static_cast<float>(values[i]), limits.lowest, limits.highest);
    to[i] = values[i] != values[i] ? std::numeric_limits<float>::quiet_NaN() : y;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(StoreAll);

void store_as_float(const GridFormat& format, std::span<const double> values, float* out) {
  HWY_DYNAMIC_DISPATCH(StoreAll)(limits_in_type<float>(format), values, out);
}

FloatStore::FloatStore(const GridFormat& format, std::span<const std::int64_t> places)
    : limits_(limits_in_type<float>(format)),
      places_(places),
      are_neighbours_(are_neighbours(places)) {}

void FloatStore::row(std::span<const double> values, float* to) const {
  const auto store_all = [this](std::span<const double> from, float* out) {
    HWY_DYNAMIC_DISPATCH(StoreAll)(limits_, from, out);
  };
  if (are_neighbours_) return store_all(values, to + places_[0]);
  constexpr std::size_t kMost = 256;
  float part[kMost];
  for (std::size_t first = 0; first < values.size(); first += kMost) {
    const std::size_t count = std::min(kMost, values.size() - first);
    store_all(values.subspan(first, count), part);
    for (std::size_t j = 0; j < count; ++j) to[places_[first + j]] = part[j];
  }
}

void FloatStore::row(std::span<const float> values, float* to) const {
  const auto as_stored = [](float x) {
    return x != x ? std::numeric_limits<float>::quiet_NaN() : x;
  };
  if (are_neighbours_) {
    std::transform(values.begin(), values.end(), to + places_[0], as_stored);
  } else {
    for (std::size_t j = 0; j < values.size(); ++j) to[places_[j]] = as_stored(values[j]);
  }
}

}  // namespace tensorquant
#endif  // HWY_ONCE
