#include "tensorquant/arithmetic/layers/batch_norm.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tensorquant/arithmetic/layers/block.h"
#include "tensorquant/arithmetic/layers/exact_steps.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

// What a channel of a batch normalization multiplies with and adds.
struct Channel {
  double scale, shift;
};

template <class T>
std::vector<Channel> channels_of(const ExactSteps<T>& steps, const BatchNorm<T>& norm) {
  std::vector<Channel> channels(norm.mean.size());
  for (std::size_t c = 0; c < channels.size(); ++c) {
    const double gamma = norm.gamma.empty() ? 1.0 : norm.gamma[c];
    const double beta = norm.beta.empty() ? 0.0 : norm.beta[c];
    const double root = steps.root_of_sum(norm.variance[c], norm.epsilon, c, 1);
    const double inverse = steps.quotient(1, root, c, 2);
    channels[c].scale = steps.product(gamma, inverse, c, 3);
    channels[c].shift =
        steps.product_and_sum(norm.mean[c], channels[c].scale, beta, c, 4, 2, /*negates=*/true);
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
  const ExactSteps<T> steps(arithmetic, context);
  const std::vector<Channel> channels = channels_of(steps, norm);
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
                        steps.product_and_sum(x[i], channel.scale, channel.shift, i, 0, 0, false,
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
