#include "tensorquant/arithmetic/sums/factor_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/factor_range.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

FactorRange Range(std::span<const float> data) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const std::size_t lanes = hn::Lanes(d);
  const auto zero = hn::Zero(di);
  auto lowest = hn::Zero(d), highest = hn::Zero(d);
  auto most = zero, largest = zero, last = hn::Set(di, 1000), longest = zero;
  const auto look = [&](auto x) HWY_ATTR {
    lowest = hn::Min(lowest, x);
    highest = hn::Max(highest, x);
    const auto magnitude = hn::And(hn::BitCast(di, x), hn::Set(di, 0x7FFFFFFF));
    const auto exponent = hn::ShiftRight<23>(magnitude);
    const auto stored = hn::And(magnitude, hn::Set(di, 0x7FFFFF));
    const auto is_subnormal = hn::Eq(exponent, zero);
    const auto significand =
        hn::IfThenElse(is_subnormal, stored, hn::Or(stored, hn::Set(di, 0x800000)));
    // The lowest bit that is set, by the exponent of the float that it is.
    const auto bottom = hn::And(significand, hn::Sub(zero, significand));
    const auto place =
        hn::Sub(hn::ShiftRight<23>(hn::BitCast(di, hn::ConvertTo(d, bottom))), hn::Set(di, 127));
    const auto last_bit =
        hn::Add(hn::Sub(hn::Max(exponent, hn::Set(di, 1)), hn::Set(di, 150)), place);
    most = hn::Max(most, magnitude);
    const auto is_finite = hn::Lt(magnitude, hn::Set(di, 0x7F800000));
    const auto counts = hn::And(is_finite, hn::Ne(magnitude, zero));
    largest = hn::Max(largest, hn::IfThenElseZero(is_finite, magnitude));
    last = hn::Min(last, hn::IfThenElse(counts, last_bit, hn::Set(di, 1000)));
    longest = hn::Max(longest, hn::IfThenElseZero(counts, hn::Sub(hn::Set(di, 24), place)));
  };
  std::size_t i = 0;
  for (; i + lanes <= data.size(); i += lanes) look(hn::LoadU(d, data.data() + i));
  if (i < data.size()) {
    HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
    std::copy(data.begin() + static_cast<std::ptrdiff_t>(i), data.end(), rest);
    look(hn::Load(d, rest));
  }
  FactorRange range;
  range.is_finite = hn::GetLane(hn::MaxOfLanes(di, most)) < 0x7F800000;
  range.largest =
      from_bits<float>(static_cast<std::uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest))));
  range.lowest = hn::GetLane(hn::MinOfLanes(d, lowest));
  range.highest = hn::GetLane(hn::MaxOfLanes(d, highest));
  range.last_bit = hn::GetLane(hn::MinOfLanes(di, last));
  range.significant_bits = hn::GetLane(hn::MaxOfLanes(di, longest));
  return range;
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(Range);

FactorRange range_of(std::span<const float> data) {
  FactorRange all;
  std::mutex mutex;
  parallel_for(data.size(), 64, [&](std::size_t begin, std::size_t end) {
    const FactorRange part = HWY_DYNAMIC_DISPATCH(Range)(data.subspan(begin, end - begin));
    const std::lock_guard lock(mutex);
    all.is_finite = all.is_finite && part.is_finite;
    all.largest = std::max(all.largest, part.largest);
    all.lowest = std::min(all.lowest, part.lowest);
    all.highest = std::max(all.highest, part.highest);
    all.last_bit = std::min(all.last_bit, part.last_bit);
    all.significant_bits = std::max(all.significant_bits, part.significant_bits);
  });
  return all;
}

}  // namespace tensorquant
#endif  // HWY_ONCE
