#include "tensorquant/calibration/entropy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/calibration/float32_parts.h"

namespace tensorquant {
namespace {

constexpr std::size_t kBins = EqualBins::kBins;
constexpr std::size_t kNotFinite = kBins;
constexpr std::size_t kLeastBins = 128;

// A thread's own bins are small.
constexpr std::size_t kBlock = 1 << 16;

using Bins = std::span<const std::uint64_t, kBins>;

// Of Q from P where `kept` bins are left: see entropy_amax().
class Divergence {
 public:
  Divergence(Bins bins, std::size_t kept, std::size_t levels)
      : bins_(bins), kept_(kept), levels_(levels) {
    const auto end = bins.begin() + static_cast<std::ptrdiff_t>(kept);
    inside_ = std::accumulate(bins.begin(), end, std::uint64_t{0});
    outside_ = std::accumulate(end, bins.end(), std::uint64_t{0});
  }

  double value() const {
    double sum = 0;
    for (std::size_t begin = 0; begin < kept_;) {
      std::size_t end = begin + 1;
      while (end < kept_ && level(end) == level(begin)) ++end;
      sum += of_level(begin, end);
      begin = end;
    }
    return sum;
  }

 private:
  std::size_t level(std::size_t bin) const { return bin * levels_ / kept_; }
  std::uint64_t p(std::size_t bin) const { return bins_[bin] + (bin == kept_ - 1 ? outside_ : 0); }

  // The part of the bins of one level.
  double of_level(std::size_t begin, std::size_t end) const {
    std::uint64_t all = 0, filled = 0;
    for (std::size_t bin = begin; bin < end; ++bin) {
      all += bins_[bin];
      filled += p(bin) > 0 ? 1 : 0;
    }
    if (filled == 0) return 0;
    if (all == 0) return std::numeric_limits<double>::infinity();
    const double q =
        static_cast<double>(all) / static_cast<double>(filled) / static_cast<double>(inside_);
    double sum = 0;
    for (std::size_t bin = begin; bin < end; ++bin) {
      const double share = static_cast<double>(p(bin)) / static_cast<double>(inside_ + outside_);
      if (share > 0) sum += share * std::log(share / q);
    }
    return sum;
  }

  Bins bins_;
  std::size_t kept_, levels_;
  std::uint64_t inside_, outside_;
};

}  // namespace

EqualBins::EqualBins(float amax) : amax_(amax), counts_(kBins + 1) {
  if (!(amax >= 0 && std::isfinite(amax))) throw Error("equal bins want a finite amax >= 0");
}

void EqualBins::count(std::span<const float> chunk) {
  // Found first, which the compiler makes SIMD.
  std::array<std::uint32_t, kChunk> indices;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    const double bin = std::abs(double{chunk[i]}) * kBins / double{amax_};
    const bool is_finite = (to_bits(chunk[i]) & kMagnitude) < kInfinity;
    const double last = static_cast<double>(is_finite ? kBins - 1 : kNotFinite);
    indices[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(bin < last ? bin : last));
  }
  for (std::size_t i = 0; i < chunk.size(); ++i) ++counts_[indices[i]];
}

template <class T>
void EqualBins::add_all(std::span<const T> values) {
  add_in_parts(
      values, kBlock, *this, [&] { return EqualBins(amax_); },
      [](EqualBins& part, std::span<const float> chunk) { part.count(chunk); });
}

void EqualBins::add(std::span<const float> values) { add_all(values); }
void EqualBins::add(std::span<const double> values) { add_all(values); }

void EqualBins::merge(const EqualBins& other) {
  if (to_bits(amax_) != to_bits(other.amax_)) throw Error("equal bins of another amax");
  std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(),
                 std::plus<>());
}

Bins EqualBins::counts() const { return Bins(counts_.data(), kBins); }

std::uint64_t EqualBins::total() const {
  return std::accumulate(counts().begin(), counts().end(), std::uint64_t{0});
}

std::size_t entropy_levels(const Quantizer& element) {
  // A format with a sign has twice as many values, and in two's complement one more.
  constexpr std::size_t kMost = 2 * kBins + 1;
  if (element.format() != nullptr) {
    const std::vector<double> all = values<float>(*element.format(), kMost);
    const auto levels = static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [](double value) { return value >= 0; }));
    if (levels >= 1 && levels <= kBins) return levels;
  }
  throw Error("calibration method 'entropy' has " + std::to_string(kBins) +
              " bins, too few for the values of quantizer '" + element.spec() + "'");
}

float entropy_amax(const EqualBins& bins, std::size_t levels) {
  if (levels < 1 || levels > kBins) {
    throw Error("calibration method 'entropy' wants from 1 to " + std::to_string(kBins) +
                " levels, not " + std::to_string(levels));
  }
  const DefaultFloatEnvironment environment;
  std::array<std::uint64_t, kBins> counts;
  std::copy_n(bins.counts().begin(), kBins, counts.begin());
  counts[0] = counts[1];
  std::size_t best = kBins;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t kept = kBins; kept >= std::max(levels, kLeastBins); --kept) {
    if (const double divergence = Divergence(counts, kept, levels).value(); divergence < least) {
      least = divergence;
      best = kept;
    }
  }
  return static_cast<float>(double{bins.amax()} * static_cast<double>(best) / kBins);
}

}  // namespace tensorquant
