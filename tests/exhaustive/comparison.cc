#include "tests/exhaustive/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/exhaustive/report.h"

namespace tensorquant {
namespace {

// The patterns as tensors one after the other. Lane j of each walks through a segment of patterns
// of its own, in order, with one random word; neighbouring lanes have distant segments.
constexpr std::uint32_t kSegment = kPatterns / kTensor;
constexpr std::uint32_t kPiece = 1024;  // tensors that one thread takes at a time
constexpr Context kContext = {.seed = 1};

std::uint32_t first_pattern(std::uint32_t lane) {
  constexpr std::uint32_t kSpread = 0x9E37;  // odd, so that no segment comes twice
  return (lane * kSpread % kTensor) * kSegment;
}

// The reference of one lane.
template <class F>
class LaneReference {
 public:
  explicit LaneReference(const F& format) : format_(format) {
    if constexpr (TakesDraw<F>) {
      for (std::uint32_t lane = 0; lane < kTensor; ++lane) {
        draws_.push_back(draw(format, kContext.random(), lane));
      }
    }
  }

  float operator()(std::uint32_t lane, float x) const {
    if constexpr (TakesDraw<F>) {
      return quantize_reference(format_, x, draws_[lane]);
    } else if constexpr (std::is_same_v<F, Ternary>) {
      return quantize_reference(format_, x, threshold_reference(format_, std::span<const float>()));
    } else if constexpr (std::is_same_v<F, Scaled>) {  // a given scale knows no neighbours
      float y = 0;
      quantize_reference(format_, std::span<const float>(&x, 1), std::span<float>(&y, 1));
      return y;
    } else {
      return quantize_reference(format_, x);
    }
  }

 private:
  const F& format_;
  std::vector<Draw> draws_;
};

// Whether the reference may turn round between two patterns of one binade that are `apart` patterns
// apart: where wrap begins anew between them. Farther out all are multiples of the modulus.
template <class F>
bool may_turn(const F& format, float first, float last, std::uint32_t apart) {
  if constexpr (std::is_same_v<F, FixedPoint>) {
    if (!format.wraps()) return false;
    const double modulus = std::ldexp(1.0, format.bits - format.fraction);
    const double way = std::abs(static_cast<double>(last) - static_cast<double>(first));
    if (way / apart >= 2 * modulus) return false;
    if (format.overflow == FixedPoint::Overflow::wrap) return !(way < modulus / 2);  // NaN may
    // sign_magnitude turns, or jumps, at the multiples of half of the modulus alone.
    const auto half_turns = [&](double x) { return std::floor(x / (modulus / 2)); };
    const double step = std::ldexp(1.0, -format.fraction);
    const double low = std::min<double>(first, last) - step,
                 high = std::max<double>(first, last) + step;
    return half_turns(low) != half_turns(high);
  } else {
    return false;
  }
}

template <class F>
class Walk {
 public:
  Walk(const Quantizer& quantizer, const F& format, bool asks_everywhere, Report& report)
      : quantizer_(quantizer),
        format_(format),
        reference_(format),
        asks_everywhere_(asks_everywhere),
        report_(report) {}

  // The tensors from `first` on.
  void piece(std::uint32_t first) const {
    std::vector<float> in(kTensor), out(kTensor), before(kTensor), wanted(kTensor);
    std::vector<char> is_asked(kTensor, true);  // of the tensor before
    const std::vector<char> asks_always = lanes_to_ask(first);
    for (std::uint32_t i = 0; i < kPiece; ++i) {
      for (std::uint32_t lane = 0; lane < kTensor; ++lane) {
        in[lane] = from_bits<float>(first_pattern(lane) + first + i);
      }
      quantizer_.quantize(in, std::span<float>(out), kContext);
      if (needs_whole_tensor()) {
        quantize_reference(format_, std::span<const float>(in), std::span<float>(wanted), kContext);
        report_.compare(in, out, wanted);
        continue;
      }
      const bool is_end = i == 0 || i + 1 == kPiece;
      for (std::uint32_t lane = 0; lane < kTensor; lane += kLanesAtOnce) {
        const auto has = [&](const std::vector<char>& flags) {
          return std::memchr(&flags[lane], true, kLanesAtOnce) != nullptr;
        };
        if (!is_end && !has(asks_always) &&
            all_same_bits({&out[lane], kLanesAtOnce}, {&before[lane], kLanesAtOnce})) {
          std::fill_n(&is_asked[lane], kLanesAtOnce, false);
          continue;
        }
        for (std::uint32_t l = lane; l < lane + kLanesAtOnce; ++l) {
          const bool is_same = to_bits(out[l]) == to_bits(before[l]);
          if (!is_same && !is_asked[l]) ask(l, before_of(in[l]), before[l]);
          is_asked[l] = !is_same || is_end || asks_always[l];
          if (is_asked[l]) ask(l, in[l], out[l]);
        }
      }
      std::swap(out, before);
    }
  }

 private:
  static constexpr std::uint32_t kLanesAtOnce = 64;

  // Whether the reference of a lane is asked for each pattern of the piece.
  std::vector<char> lanes_to_ask(std::uint32_t first) const {
    std::vector<char> asks(kTensor, asks_everywhere_);
    for (std::uint32_t lane = 0; lane < kTensor; ++lane) {
      const std::uint32_t pattern = first_pattern(lane) + first;
      const std::uint32_t apart = kPiece - 1;
      if (may_turn(format_, from_bits<float>(pattern), from_bits<float>(pattern + apart), apart)) {
        asks[lane] = true;
      }
    }
    return asks;
  }

  bool needs_whole_tensor() const {
    if constexpr (std::is_same_v<F, Ternary>) return !format_.threshold;
    if constexpr (std::is_same_v<F, Scaled>) {
      return finds_scales(format_) || tensorquant::is_random(format_);
    }
    return false;
  }
  static float before_of(float x) { return from_bits<float>(to_bits(x) - 1); }
  void ask(std::uint32_t lane, float x, float kernel) const {
    report_.compare(x, lane, kernel, reference_(lane, x));
  }

  const Quantizer& quantizer_;
  const F& format_;
  const LaneReference<F> reference_;
  const bool asks_everywhere_;
  Report& report_;
};

}  // namespace

std::uint64_t compare_all(const std::string& spec, int threads, bool asks_everywhere) {
  const auto quantizer = make_quantizer(spec);
  Report report(spec);
  std::visit(
      [&](const auto& format) {
        const Walk walk(*quantizer, format, asks_everywhere, report);
        on_threads(threads, kSegment / kPiece, report,
                   [&](std::uint64_t i) { walk.piece(static_cast<std::uint32_t>(i) * kPiece); });
      },
      *quantizer->format());
  return report.differences();
}

std::uint64_t compare_sample(const std::string& spec, int threads, std::uint32_t stride) {
  // Odd, so that index * kSpread mod 2^32 takes every value once; large, so that neighbours differ.
  constexpr std::uint32_t kSpread = 0x9E3779B1;
  const auto quantizer = make_quantizer(spec);
  Report report(spec);
  const std::uint64_t count = sample_size(stride);
  on_threads(threads, (count + kTensor - 1) / kTensor, report, [&](std::uint64_t number) {
    const std::uint64_t begin = number * kTensor;
    const std::uint64_t size = std::min<std::uint64_t>(kTensor, count - begin);
    std::vector<float> in(size), out(size), wanted(size);
    for (std::uint64_t i = 0; i < size; ++i) {
      in[i] = from_bits<float>(static_cast<std::uint32_t>((begin + i) * stride) * kSpread);
    }
    const Context context = {.seed = 1, .step = static_cast<std::uint32_t>(number)};
    std::visit(
        [&](const auto& format) {
          quantize_reference(format, std::span<const float>(in), std::span<float>(wanted), context);
        },
        *quantizer->format());
    quantizer->quantize(in, std::span<float>(out), context);
    report.compare(in, out, wanted);
  });
  return report.differences();
}

}  // namespace tensorquant
