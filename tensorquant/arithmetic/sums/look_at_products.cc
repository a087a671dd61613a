// Every line of a meets every line of b: at each tap the largest product is that of the largest
// factors, and only where this one lies outside its format others may.
#include "tensorquant/arithmetic/sums/look_at_products.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/look_at_products.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <numeric>
#include <span>
#include <vector>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// look(x) for whole vectors, the last one of which may be filled up with zeros.
template <class Look>
HWY_INLINE void ForEachVector(std::span<const float> x, const Look& look) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes) look(hn::LoadU(d, x.data() + i));
  if (i == x.size()) return;
  HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
  std::copy(x.begin() + static_cast<std::ptrdiff_t>(i), x.end(), rest);
  look(hn::Load(d, rest));
}

float LargestFinite(std::span<const float> x) {
  const hn::ScalableTag<float> d;
  auto largest = hn::Zero(d);
  const auto most = hn::Set(d, std::numeric_limits<float>::max());
  ForEachVector(x, [&](auto v) HWY_ATTR {
    const auto magnitude = hn::Abs(v);
    largest = hn::Max(largest, hn::IfThenElseZero(hn::Le(magnitude, most), magnitude));
  });
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// How many numbers lie outside [lowest, highest], in which 0 lies. NaN does not.
std::size_t CountOutside(std::span<const float> x, float lowest, float highest) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  auto count = hn::Zero(di);
  ForEachVector(x, [&](auto v) HWY_ATTR {
    const auto is_outside = hn::Or(hn::Lt(v, hn::Set(d, lowest)), hn::Gt(v, hn::Set(d, highest)));
    count = hn::Sub(count, hn::BitCast(di, hn::VecFromMask(d, is_outside)));
  });
  return static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(di, count)));
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {
namespace {

HWY_EXPORT(LargestFinite);
HWY_EXPORT(CountOutside);

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// All lines of a factor, tap by tap.
class Lines {
 public:
  explicit Lines(const Factor<float>& factor) : factor_(factor), values_(factor.lines.size()) {
    for (const std::int64_t line : factor.lines) {
      if (runs_.empty() || runs_.back().first + runs_.back().count != line) {
        runs_.push_back({line, 0});
      }
      ++runs_.back().count;
    }
  }

  std::span<const float> at(std::size_t tap) {
    const float* from = factor_.data.data() + factor_.taps[tap];
    if (runs_.size() == 1) return {from + runs_[0].first, values_.size()};
    float* to = values_.data();
    for (const Run& run : runs_) to = std::copy_n(from + run.first, run.count, to);
    return values_;
  }

 private:
  struct Run {  // of lines that are neighbours
    std::int64_t first, count;
  };

  const Factor<float>& factor_;
  std::vector<Run> runs_;
  std::vector<float> values_;
};

float largest_finite(std::span<const float> x) { return HWY_DYNAMIC_DISPATCH(LargestFinite)(x); }

// The largest x for which a * x is no larger than `end`; a and end are not negative.
float largest_factor(double a, double end) {
  if (a == 0 || end == kInfinity) return kInfinity;
  float x = static_cast<float>(std::min<double>(end / a, std::numeric_limits<float>::max()));
  while (a * x > end) x = std::nextafter(x, -kInfinity);
  for (float next = std::nextafter(x, kInfinity); a * next <= end && x != kInfinity;) {
    x = next;
    next = std::nextafter(x, kInfinity);
  }
  return x;
}

// Of a and each x: a * x lies outside the ends.
std::size_t count_outside(float a, std::span<const float> x, const Bounds<double>& ends) {
  if (std::isnan(a)) return 0;
  const double size = std::abs(static_cast<double>(a));
  float lowest = -largest_factor(size, -ends.lowest);
  float highest = largest_factor(size, ends.highest);
  if (std::signbit(a)) {
    std::swap(lowest, highest);
    lowest = -lowest, highest = -highest;
  }
  return HWY_DYNAMIC_DISPATCH(CountOutside)(x, lowest, highest);
}

// Of some taps.
class ProductLook {
 public:
  ProductLook(const SumBounds& bounds, bool a_has_fewer_lines)
      : ends_(ends_of<float>(bounds.arithmetic.product)),
        innermost_(bounds.keeps_product ? kInfinity : std::min(-ends_.lowest, ends_.highest)),
        few_(a_has_fewer_lines ? bounds.sums.a : bounds.sums.b),
        many_(a_has_fewer_lines ? bounds.sums.b : bounds.sums.a),
        is_finite_(bounds.factors_are_finite()),
        largest_of_many_(a_has_fewer_lines ? bounds.b.largest : bounds.a.largest) {}

  // largest_of_few: of the finite factors at this tap that come from fewer lines.
  void look_at(std::size_t tap, double largest_of_few, RangeReport& report) {
    const double most = largest_of_few * largest_of_many_;
    const bool may_be_outside = is_finite_ ? most > innermost_ : innermost_ < kInfinity;
    if (is_finite_ && most <= report.largest_product && !may_be_outside) return;
    const std::span<const float> many = many_.at(tap);
    const double largest = largest_finite(many);
    report.largest_product = std::max(report.largest_product, largest_of_few * largest);
    if (!may_be_outside) return;
    for (const float x : few_.at(tap)) {
      if (is_finite_ && std::abs(x) * largest <= innermost_) continue;
      report.clamped_products += count_outside(x, many, ends_);
    }
  }

 private:
  const Bounds<double> ends_;
  const double innermost_;  // no product up to here is outside
  Lines few_, many_;
  const bool is_finite_;
  const double largest_of_many_;
};

}  // namespace

void look_at_products(const SumBounds& bounds, RangeReport& report) {
  const SumsOfProducts<float>& sums = bounds.sums;
  const std::size_t taps = sums.taps(), pairs = sums.rows.size() * sums.columns.size();
  if (taps == 0 || pairs == 0) return;
  if (!bounds.keeps_product) report.products += taps * pairs;

  const bool a_has_fewer_lines = sums.rows.size() <= sums.columns.size();
  Lines few(a_has_fewer_lines ? sums.a : sums.b);
  std::vector<double> largest(taps);
  for (std::size_t k = 0; k < taps; ++k) largest[k] = largest_finite(few.at(k));
  std::vector<std::size_t> order(taps);  // the largest ones first, which leave little to the others
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t i, std::size_t j) { return largest[i] > largest[j]; });
  ProductLook(bounds, a_has_fewer_lines).look_at(order[0], largest[order[0]], report);
  const double first = report.largest_product;

  std::mutex mutex;
  const std::size_t work = std::max(sums.rows.size(), sums.columns.size());  // of a tap
  parallel_for((taps - 1) * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    ProductLook look(bounds, a_has_fewer_lines);
    RangeReport local;
    local.largest_product = first;
    for (std::size_t i = begin / work; i < end / work; ++i) {
      look.look_at(order[i + 1], largest[order[i + 1]], local);
    }
    const std::lock_guard lock(mutex);
    report.merge(local);
  });
}

}  // namespace tensorquant
#endif  // HWY_ONCE
