#include "tensorquant/arithmetic/layers/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/layers/block.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

// The definitions, a number at a time.
template <class T>
class Exactly {
 public:
  Exactly(const Arithmetic& arithmetic, const ArithmeticContext& context)
      : arithmetic_(arithmetic), product_(arithmetic.product), context_(context) {}

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
    return rounded_sum<T>(arithmetic_, context_, sum, index, sum_tap, outside);
  }

 private:
  // A zero, an infinity or NaN in the product's format.
  double stored(double special) const { return round_special<T>(product_, special); }

  const Arithmetic& arithmetic_;
  const GridFormat& product_;
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

}  // namespace

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
      if (takes_odd(arithmetic.product) && takes_odd(arithmetic.last_accumulator())) {
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
      y[i] = to_type<T>(arithmetic.last_accumulator(),
                        exactly.product_and_sum(x[i], channel.scale, channel.shift, i, 0, 0, false,
                                                outside != nullptr ? outside + i : nullptr));
    }
  });
}

template void batch_norm(const Arithmetic&, const ArithmeticContext&, const BatchNorm<float>&,
                         std::int64_t, std::span<const float>, std::span<float>, RangeReport*,
                         bool*);
template void batch_norm(const Arithmetic&, const ArithmeticContext&, const BatchNorm<double>&,
                         std::int64_t, std::span<const double>, std::span<double>, RangeReport*,
                         bool*);

}  // namespace tensorquant
