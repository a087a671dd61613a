#include "tensorquant/arithmetic/layers/block.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <type_traits>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/float_store.h"
#include "tensorquant/arithmetic/sums/tile_steps.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {

template <class T>
double rounded_sum(const Arithmetic& arithmetic, const ArithmeticContext& context,
                   const ExactSum<double>& sum, std::uint64_t index, std::uint32_t tap,
                   bool* outside) {
  const GridFormat& format = arithmetic.last_accumulator();
  if (outside != nullptr) *outside = sum.is_outside(ends_of<T>(format));
  const Draw random = draw(format, context.accumulator(), index, tap);
  if constexpr (std::is_same_v<T, float>) {
    return sum.rounded(in_double(format), random);
  } else {
    return sum.rounded(format, random);
  }
}
template double rounded_sum<float>(const Arithmetic&, const ArithmeticContext&,
                                   const ExactSum<double>&, std::uint64_t, std::uint32_t, bool*);
template double rounded_sum<double>(const Arithmetic&, const ArithmeticContext&,
                                    const ExactSum<double>&, std::uint64_t, std::uint32_t, bool*);

Block::Block(const Arithmetic& arithmetic, const ArithmeticContext& context, std::size_t first,
             std::size_t count)
    : arithmetic_(arithmetic), context_(context), first_(first), count_(count) {
  const bool draws = is_random(arithmetic.product) || is_random(arithmetic.last_accumulator());
  if (draws) indices_.resize(count);
  for (std::size_t i = 0; i < indices_.size(); ++i) {
    indices_[i] = static_cast<std::int64_t>(first + i);
  }
}

void Block::multiply(double factor, std::span<double> values, std::size_t begin) {
  const double high = static_cast<float>(factor);
  const double low = factor - high;
  const auto part = addends().subspan(begin, values.size());
  std::transform(values.begin(), values.end(), part.begin(), [=](double x) { return x * low; });
  for (double& x : values) x *= high;
  if (low != 0 && std::isfinite(high)) add_to_odd(values, part);
}

void Block::round_products(RangeReport* report) {
  if (is_none(arithmetic_.product)) return;
  if (report != nullptr) {
    report->products += count_;
    report->clamped_products += count_outside(values(), ends_of<float>(arithmetic_.product));
    SumExtremes extremes;
    widen(extremes, values());
    report->largest_product =
        std::max({report->largest_product, -extremes.lowest, extremes.highest});
  }
  round_all(arithmetic_.product, context_.product(), 0, indices_, values());
}

void Block::add(float* y, RangeReport* report, bool* outside) {
  add_to_odd(values(), addends());
  const Bounds<double> ends = ends_of<float>(arithmetic_.last_accumulator());
  if (outside != nullptr) {
    std::transform(values_, values_ + count_, outside + first_,
                   [&](double x) { return is_outside(ends, x); });
  }
  if (report != nullptr) {
    report->sums += count_;
    report->clamped_sums += count_outside(values(), ends);
    SumExtremes extremes{report->lowest_sum, report->highest_sum};
    widen(extremes, values());
    report->lowest_sum = extremes.lowest;
    report->highest_sum = extremes.highest;
  }
  round_all(arithmetic_.last_accumulator(), context_.accumulator(), 0, indices_, values());
  store_as_float(arithmetic_.last_accumulator(), values(), y + first_);
}

void for_each_block(std::size_t count, RangeReport* report,
                    const std::function<void(std::size_t, std::size_t, RangeReport*)>& body) {
  std::mutex mutex;
  parallel_for(count, Block::kSize, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    RangeReport local;
    for (std::size_t i = begin; i < end; i += Block::kSize) {
      body(i, std::min(Block::kSize, end - i), report != nullptr ? &local : nullptr);
    }
    const std::lock_guard lock(mutex);
    if (report != nullptr) report->merge(local);
  });
}

}  // namespace tensorquant
