#include "tensorquant/arithmetic/average_pool.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "tensorquant/arithmetic/exact_sum.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

// The offsets of a window's inputs, -1 for zeros.
std::vector<std::int64_t> offsets_of(const AveragePool& pool, std::int64_t output) {
  std::vector<const PoolWindow*> window(pool.input.size());
  for (std::size_t d = window.size(); d-- > 0;) {
    const auto count = static_cast<std::int64_t>(pool.windows[d].size());
    window[d] = &pool.windows[d][static_cast<std::size_t>(output % count)];
    output /= count;
  }
  std::vector<std::int64_t> offsets = {0};
  for (std::size_t d = 0; d < window.size(); ++d) {
    std::vector<std::int64_t> longer;
    for (const std::int64_t offset : offsets) {
      for (std::int64_t i = window[d]->first; i < window[d]->first + window[d]->size; ++i) {
        const bool is_there = offset >= 0 && i >= 0 && i < pool.input[d];
        longer.push_back(is_there ? offset * pool.input[d] + i : -1);
      }
    }
    offsets = std::move(longer);
  }
  return offsets;
}

template <class T>
class PoolSum {
 public:
  PoolSum(const Arithmetic& arithmetic, const ArithmeticContext& context, std::uint64_t index,
          RangeReport* report)
      : arithmetic_(arithmetic), context_(context), index_(index), report_(report) {}

  T average(const T* x, const std::vector<std::int64_t>& offsets, std::int64_t divisor) {
    const double s = sum(x, offsets);
    const double n = static_cast<double>(divisor);
    const Format& format = arithmetic_.product;
    const Draw random = draw(format, context_.product(), index_, 0);
    const double quotient = std::isfinite(s) && s != 0
                                ? round_exact<T>(format, exact_quotient(s, n), random)
                                : round_special<T>(format, s / n);
    if (report_ != nullptr) {
      ++report_->products;
      const Bounds<double> ends = ends_of<T>(format);
      if (s / n < ends.lowest || s / n > ends.highest) ++report_->clamped_products;
      if (std::isfinite(s)) {
        report_->largest_product = std::max(report_->largest_product, std::abs(s / n));
      }
    }
    return to_type<T>(format, quotient);
  }

 private:
  double sum(const T* x, const std::vector<std::int64_t>& offsets) {
    using enum Accumulate::Mode;
    const Accumulate& accumulate = arithmetic_.accumulate;
    const std::size_t together = accumulate.mode == once    ? offsets.size()
                                 : accumulate.mode == chunk ? accumulate.chunk
                                                            : 1;
    const bool by_chunk = accumulate.mode == once || accumulate.mode == chunk;
    double s = 0, running = 0;
    std::uint32_t number = 0;
    for (std::size_t first = 0; first < offsets.size(); first += together, ++number) {
      ExactSum<T> sum;
      for (std::size_t k = first; k < std::min(offsets.size(), first + together); ++k) {
        const T value = offsets[k] < 0 ? T{0} : x[offsets[k]];
        sum.add(value);
        running += value;
        if (report_ != nullptr && std::isfinite(running)) {
          report_->lowest_sum = std::min(report_->lowest_sum, running);
          report_->highest_sum = std::max(report_->highest_sum, running);
        }
      }
      if (by_chunk) sum.add(0.0);
      if (accumulate.mode != once) sum.add(s);
      if (report_ != nullptr) {
        ++report_->sums;
        if (sum.is_outside(ends_of<T>(arithmetic_.accumulator))) ++report_->clamped_sums;
      }
      s = sum.rounded(arithmetic_.accumulator,
                      draw(arithmetic_.accumulator, context_.accumulator(), index_, number));
    }
    return s;
  }

  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  std::uint64_t index_;
  RangeReport* report_;
};

}  // namespace

template <class T>
void average_pool(const Arithmetic& arithmetic, const ArithmeticContext& context,
                  const AveragePool& pool, const T* x, T* y, RangeReport* report) {
  std::int64_t input = 1, outputs = 1;
  for (const std::int64_t size : pool.input) input *= size;
  for (const auto& windows : pool.windows) outputs *= static_cast<std::int64_t>(windows.size());
  if (static_cast<std::int64_t>(pool.divisors.size()) != outputs) {
    throw Error("average pool: a divisor is needed for each output");
  }
  std::vector<std::vector<std::int64_t>> offsets;
  std::size_t taps = 1;
  for (std::int64_t i = 0; i < outputs; ++i) {
    offsets.push_back(offsets_of(pool, i));
    taps = std::max(taps, offsets.back().size());
  }
  const std::size_t work = 50 * taps;
  std::mutex mutex;
  const auto count = static_cast<std::size_t>(pool.planes * outputs);
  parallel_for(count * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    RangeReport local;
    for (std::size_t i = begin / work; i < (end + work - 1) / work; ++i) {
      const std::size_t plane = i / static_cast<std::size_t>(outputs);
      const std::size_t output = i % static_cast<std::size_t>(outputs);
      PoolSum<T> sum(arithmetic, context, i, report != nullptr ? &local : nullptr);
      y[i] = sum.average(x + plane * static_cast<std::size_t>(input), offsets[output],
                         pool.divisors[output]);
    }
    const std::lock_guard lock(mutex);
    if (report != nullptr) report->merge(local);
  });
}

template void average_pool(const Arithmetic&, const ArithmeticContext&, const AveragePool&,
                           const float*, float*, RangeReport*);
template void average_pool(const Arithmetic&, const ArithmeticContext&, const AveragePool&,
                           const double*, double*, RangeReport*);

}  // namespace tensorquant
