#include "tensorquant/arithmetic/elementwise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <type_traits>
#include <vector>

#include "tensorquant/arithmetic/exact_sum.h"
#include "tensorquant/arithmetic/finish.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

// The definitions, a number at a time.
template <class T>
class Exactly {
 public:
  Exactly(const Arithmetic& arithmetic, const ArithmeticContext& context)
      : product_(arithmetic.product), sum_(arithmetic.accumulator), context_(context) {}

  bool keeps_product() const { return is_none(product_); }

  double root_of_sum(T a, T b, std::uint64_t index, std::uint32_t tap) const {
    ExactSum<T> sum;
    sum.add(a);
    sum.add(b);
    const Draw random = draw(product_, context_.product(), index, tap);
    if (sum.has_special() || sum.is_zero() || sum.number().negative) {
      // The sum of doubles has the sign or the special value that counts.
      return stored(std::sqrt(static_cast<double>(a) + static_cast<double>(b)));
    }
    return round_exact<T>(product_, exact_root(sum.number()), random);
  }

  double quotient(double a, double b, std::uint64_t index, std::uint32_t tap) const {
    const Draw random = draw(product_, context_.product(), index, tap);
    if (!std::isfinite(a) || !std::isfinite(b) || a == 0 || b == 0) return stored(a / b);
    return round_exact<T>(product_, exact_quotient(a, b), random);
  }

  // P(a * b). Identity: rounded to T.
  double product(double a, double b, std::uint64_t index, std::uint32_t tap) const {
    const Draw random = draw(product_, context_.product(), index, tap);
    if (!std::isfinite(a) || !std::isfinite(b) || a == 0 || b == 0) return stored(a * b);
    return round_exact<T>(product_, exact_product(a, b), random);
  }

  // A(P(a * b) + c), without P where it is Identity.
  double product_and_sum(double a, double b, double c, std::uint64_t index,
                         std::uint32_t product_tap, std::uint32_t sum_tap, bool negates = false,
                         bool* outside = nullptr) const {
    const double sign = negates ? -1.0 : 1.0;
    ExactSum<double> sum;  // a and b may be any values of formats
    if (!keeps_product()) {
      sum.add(sign * product(a, b, index, product_tap));
    } else {
      sum.add_product(sign * a, b);
    }
    sum.add(c);
    return rounded(sum, index, sum_tap, outside);
  }

  double rounded(const ExactSum<double>& sum, std::uint64_t index, std::uint32_t tap,
                 bool* outside) const {
    if (outside != nullptr) *outside = sum.is_outside(ends_of<T>(sum_));
    const Draw random = draw(sum_, context_.accumulator(), index, tap);
    if constexpr (std::is_same_v<T, float>) {
      return sum.rounded(in_double(sum_), random);
    } else {
      return sum.rounded(sum_, random);
    }
  }

 private:
  static ExactNumber exact_product(double a, double b) {
    ExactNumber x = exact_number(a);
    const ExactNumber y = exact_number(b);
    return {x.negative != y.negative, x.significand * y.significand, x.exponent + y.exponent,
            false};
  }
  // A zero, an infinity or NaN in the product's format.
  double stored(double special) const { return round_special<T>(product_, special); }

  const GridFormat& product_;
  const GridFormat& sum_;
  const ArithmeticContext& context_;
};

// What a channel of a batch normalization multiplies with and adds.
struct Channel {
  double scale, shift;
};

template <class T>
std::vector<Channel> channels_of(const Exactly<T>& exactly, const BatchNorm<T>& norm) {
  std::vector<Channel> channels(norm.mean.size());
  for (std::size_t c = 0; c < channels.size(); ++c) {
    const double gamma = norm.gamma.empty() ? 1.0 : norm.gamma[c];
    const double beta = norm.beta.empty() ? 0.0 : norm.beta[c];
    const double root = exactly.root_of_sum(norm.variance[c], norm.epsilon, c, 1);
    const double inverse = exactly.quotient(1, root, c, 2);
    channels[c].scale = exactly.product(gamma, inverse, c, 3);
    channels[c].shift =
        exactly.product_and_sum(norm.mean[c], channels[c].scale, beta, c, 4, 2, /*negates=*/true);
  }
  return channels;
}

// a and the sums to come, a few hundred at a time, in float64.
class Block {
 public:
  static constexpr std::size_t kSize = 1024;

  Block(const Arithmetic& arithmetic, const ArithmeticContext& context, std::size_t first,
        std::size_t count)
      : arithmetic_(arithmetic), context_(context), first_(first), count_(count) {
    const bool draws = is_random(arithmetic.product) || is_random(arithmetic.accumulator);
    if (draws) indices_.resize(count);
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      indices_[i] = static_cast<std::int64_t>(first + i);
    }
  }

  std::span<double> values() { return {values_, count_}; }
  std::span<double> addends() { return {addends_, count_}; }

  // values * factor, rounded to odd, then to the product's format. The values are float32, so that
  // their products with both halves of the factor are exact.
  void multiply(double factor, std::span<double> values, std::size_t begin) {
    const double high = static_cast<float>(factor);
    const double low = factor - high;
    const auto part = addends().subspan(begin, values.size());
    std::transform(values.begin(), values.end(), part.begin(), [=](double x) { return x * low; });
    for (double& x : values) x *= high;
    if (low != 0 && std::isfinite(high)) add_to_odd(values, part);
  }
  void round_products(RangeReport* report) {
    if (is_none(arithmetic_.product)) return;
    if (report != nullptr) {
      const Bounds<double> ends = ends_of<float>(arithmetic_.product);
      for (const double x : values()) {
        ++report->products;
        if (x < ends.lowest || x > ends.highest) ++report->clamped_products;
        if (std::isfinite(x)) {
          report->largest_product = std::max(report->largest_product, std::abs(x));
        }
      }
    }
    round_all(arithmetic_.product, context_.product(), 0, indices_, values());
  }
  // A(values + addends), as float32.
  void add(float* y, RangeReport* report, bool* outside) {
    add_to_odd(values(), addends());
    if (report != nullptr || outside != nullptr) {
      const Bounds<double> ends = ends_of<float>(arithmetic_.accumulator);
      for (std::size_t i = 0; i < count_; ++i) {
        const double x = values_[i];
        const bool is_outside = x < ends.lowest || x > ends.highest;
        if (outside != nullptr) outside[first_ + i] = is_outside;
        if (report == nullptr) continue;
        ++report->sums;
        report->clamped_sums += is_outside ? 1 : 0;
        if (!std::isfinite(x)) continue;
        report->lowest_sum = std::min(report->lowest_sum, x);
        report->highest_sum = std::max(report->highest_sum, x);
      }
    }
    round_all(arithmetic_.accumulator, context_.accumulator(), 0, indices_, values());
    store_as_float(arithmetic_.accumulator, values(), y + first_);
  }

 private:
  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  std::size_t first_, count_;
  std::vector<std::int64_t> indices_;
  double values_[kSize], addends_[kSize];
};

template <class Body>  // body(first, count, report)
void for_each_block(std::size_t count, RangeReport* report, const Body& body) {
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

}  // namespace

template <class T>
void rounded_add(const Arithmetic& arithmetic, const ArithmeticContext& context,
                 std::span<const T> a, std::span<const T> b, std::span<T> y, RangeReport* report,
                 bool* outside) {
  const DefaultFloatEnvironment environment;
  const Exactly<T> exactly(arithmetic, context);
  for_each_block(a.size(), report, [&](std::size_t first, std::size_t count, RangeReport* counts) {
    if constexpr (std::is_same_v<T, float>) {
      if (takes_odd(arithmetic.accumulator)) {
        Block block(arithmetic, context, first, count);
        std::copy_n(a.begin() + static_cast<std::ptrdiff_t>(first), count, block.values().begin());
        std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(first), count, block.addends().begin());
        block.add(y.data(), counts, outside);
        return;
      }
    }
    for (std::size_t i = first; i < first + count; ++i) {
      ExactSum<double> sum;
      sum.add(a[i]);
      sum.add(b[i]);
      y[i] = to_type<T>(arithmetic.accumulator,
                        exactly.rounded(sum, i, 0, outside != nullptr ? outside + i : nullptr));
    }
  });
}

template <class T>
void batch_norm(const Arithmetic& arithmetic, const ArithmeticContext& context,
                const BatchNorm<T>& norm, std::int64_t plane, std::span<const T> x, std::span<T> y,
                RangeReport* report, bool* outside) {
  const DefaultFloatEnvironment environment;
  const std::size_t count = norm.mean.size();
  const auto fits = [&](std::span<const T> values) {
    return values.empty() || values.size() == count;
  };
  if (norm.variance.size() != count || !fits(norm.gamma) || !fits(norm.beta) ||
      x.size() != y.size() || (!x.empty() && count == 0)) {
    throw Error("batch norm: the numbers of channels differ");
  }
  const Exactly<T> exactly(arithmetic, context);
  const std::vector<Channel> channels = channels_of(exactly, norm);
  const auto size = static_cast<std::size_t>(plane);
  for_each_block(x.size(), report, [&](std::size_t first, std::size_t count, RangeReport* counts) {
    const auto channel_of = [&](std::size_t i) { return channels[i / size % channels.size()]; };
    if constexpr (std::is_same_v<T, float>) {
      if (takes_odd(arithmetic.product) && takes_odd(arithmetic.accumulator)) {
        Block block(arithmetic, context, first, count);
        const auto values = block.values();
        std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(first), count, values.begin());
        const auto for_each_channel = [&](const auto& visit) {
          for (std::size_t i = 0; i < count;) {
            const std::size_t run = std::min(count - i, size - (first + i) % size);
            visit(channel_of(first + i), i, run);
            i += run;
          }
        };
        for_each_channel([&](const Channel& channel, std::size_t i, std::size_t run) {
          block.multiply(channel.scale, values.subspan(i, run), i);
        });
        block.round_products(counts);
        for_each_channel([&](const Channel& channel, std::size_t i, std::size_t run) {
          std::fill_n(block.addends().begin() + static_cast<std::ptrdiff_t>(i), run, channel.shift);
        });
        block.add(y.data(), counts, outside);
        return;
      }
    }
    for (std::size_t i = first; i < first + count; ++i) {
      const Channel channel = channel_of(i);
      y[i] = to_type<T>(arithmetic.accumulator,
                        exactly.product_and_sum(x[i], channel.scale, channel.shift, i, 0, 0, false,
                                                outside != nullptr ? outside + i : nullptr));
    }
  });
}

template void rounded_add(const Arithmetic&, const ArithmeticContext&, std::span<const float>,
                          std::span<const float>, std::span<float>, RangeReport*, bool*);
template void rounded_add(const Arithmetic&, const ArithmeticContext&, std::span<const double>,
                          std::span<const double>, std::span<double>, RangeReport*, bool*);
template void batch_norm(const Arithmetic&, const ArithmeticContext&, const BatchNorm<float>&,
                         std::int64_t, std::span<const float>, std::span<float>, RangeReport*,
                         bool*);
template void batch_norm(const Arithmetic&, const ArithmeticContext&, const BatchNorm<double>&,
                         std::int64_t, std::span<const double>, std::span<double>, RangeReport*,
                         bool*);

}  // namespace tensorquant
