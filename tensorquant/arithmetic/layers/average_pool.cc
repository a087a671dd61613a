#include "tensorquant/arithmetic/layers/average_pool.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/float_store.h"
#include "tensorquant/arithmetic/sums/output_sum.h"
#include "tensorquant/arithmetic/sums/segments.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

using Sizes = std::vector<std::int64_t>;

// The offsets of a window's inputs, -1 for zeros.
Sizes offsets_of(const AveragePool& pool, std::int64_t output) {
  std::vector<const PoolWindow*> window(pool.input.size());
  for (std::size_t d = window.size(); d-- > 0;) {
    const auto count = static_cast<std::int64_t>(pool.windows[d].size());
    window[d] = &pool.windows[d][static_cast<std::size_t>(output % count)];
    output /= count;
  }
  Sizes offsets = {0};
  for (std::size_t d = 0; d < window.size(); ++d) {
    Sizes longer;
    longer.reserve(static_cast<std::size_t>(
        volume("the window", Sizes{static_cast<std::int64_t>(offsets.size()), window[d]->size})));
    for (const std::int64_t offset : offsets) {
      for (std::int64_t k = 0; k < window[d]->size; ++k) {
        const std::int64_t i = window[d]->first + k;
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
  PoolSum(const Arithmetic& arithmetic, const ArithmeticContext& context,
          const ScaledOperand<T>* scaled, std::uint64_t index, RangeReport* report, bool* outside)
      : arithmetic_(arithmetic),
        context_(context),
        scaled_(scaled),
        index_(index),
        report_(report),
        outside_(outside) {}

  // Of the plane x, which begins at the tensor's element `first`.
  T average(const T* x, std::int64_t first, const Sizes& offsets, std::int64_t divisor) {
    const double s = sum(x, first, offsets);
    const double n = static_cast<double>(divisor);
    const GridFormat& format = arithmetic_.product;
    const Draw random = draw(format, context_.product(), index_, 0);
    const double quotient = round_quotient<T>(format, s, n, random);
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
  double sum(const T* x, std::int64_t first, const Sizes& offsets) {
    const int min_exponent =
        arithmetic_.data_min_exponent.value_or(std::numeric_limits<T>::min_exponent - 1);
    const auto term = [&](std::size_t k) {
      const double value = offsets[k] < 0 ? 0.0 : x[offsets[k]];
      const bool is_number = std::isfinite(value) && value != 0;
      return term_of(value, is_number ? aligned_exponent(value, min_exponent) : 0);
    };
    const Sizes groups = groups_of(first, offsets);
    const auto scales = [&](std::size_t k) {
      while (k < groups.size() && groups[k] < 0) ++k;
      const bool is_scaled = k < groups.size() && scaled_ != nullptr;
      return std::pair<T, T>(
          is_scaled ? scaled_->scales[static_cast<std::size_t>(groups[k])] : T{1}, 1);
    };
    OutputSum<T> sum(arithmetic_, context_, index_, report_, outside_);
    return sum.add_up(segment_ends(arithmetic_, groups), term, scales, nullptr);
  }

  // The groups of a window's inputs, -1 for zeros.
  Sizes groups_of(std::int64_t first, const Sizes& offsets) const {
    Sizes groups(offsets.size(), 0);
    if (scaled_ == nullptr || scaled_->has_one_scale()) return groups;
    for (std::size_t k = 0; k < offsets.size(); ++k) {
      const auto element = static_cast<std::size_t>(first + offsets[k]);
      groups[k] =
          offsets[k] < 0 ? -1 : static_cast<std::int64_t>(scaled_->grouping.group_of(element));
    }
    return groups;
  }

  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  const ScaledOperand<T>* scaled_;
  std::uint64_t index_;
  RangeReport* report_;
  bool* outside_;
};

// s / n, rounded to odd.
double quotient_to_odd(double s, double n) {
  const double quotient = s / n;
  const double rest = std::fma(-quotient, n, s);  // exact
  const std::uint64_t bits = to_bits(quotient);
  if (rest == 0 || !std::isfinite(quotient) || (bits & 1) != 0) return quotient;
  return from_bits<double>((rest > 0) == (s > 0) ? bits + 1 : bits - 1);
}

// One output of `planes` planes from the first, all of which take each step together, in float64.
void average_together(const Arithmetic& arithmetic, const ArithmeticContext& context,
                      const float* x, std::int64_t input, std::size_t planes, const Sizes& offsets,
                      double divisor, float* y, std::int64_t first_index, std::int64_t outputs) {
  std::vector<double> sums(planes), values(planes);
  Sizes indices(planes);
  for (std::size_t i = 0; i < planes; ++i) {
    indices[i] = first_index + static_cast<std::int64_t>(i) * outputs;
  }
  for (std::size_t k = 0; k < offsets.size(); ++k) {
    for (std::size_t i = 0; i < planes; ++i) {
      values[i] = offsets[k] < 0 ? 0.0 : x[static_cast<std::int64_t>(i) * input + offsets[k]];
    }
    add_to_odd(sums, values);
    round_all(arithmetic.accumulator, context.accumulator(), static_cast<std::uint32_t>(k), indices,
              sums);
  }
  for (double& s : sums) s = quotient_to_odd(s, divisor);
  round_all(arithmetic.product, context.product(), 0, indices, sums);
  std::vector<float> averages(planes);
  store_as_float(arithmetic.product, sums, averages.data());
  for (std::size_t i = 0; i < planes; ++i) y[static_cast<std::int64_t>(i) * outputs] = averages[i];
}

// How far a window's inputs lie from its first one, if that is the same for all windows and none
// has zeros around the input.
std::optional<Sizes> common_distances(const std::vector<Sizes>& offsets) {
  Sizes distances = offsets[0];
  if (distances.empty()) return {};
  for (std::int64_t& distance : distances) distance -= offsets[0][0];
  for (const Sizes& window : offsets) {
    if (window.size() != distances.size()) return {};
    for (std::size_t k = 0; k < window.size(); ++k) {
      if (window[k] < 0 || window[k] - window[0] != distances[k]) return {};
    }
  }
  return distances;
}

// The sums of all windows are those of their inputs' products with ones, for which there are faster
// loops. Leaves y as it is and returns false where they cannot be told so, or where a sum is no
// float32, as y has to keep it.
bool average_by_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const AveragePool& pool, const std::vector<Sizes>& offsets,
                         const ScaledOperand<float>* scaled, const float* x, float* y) {
  if (!arithmetic.outer || !is_float32(arithmetic.last_accumulator()) ||
      is_random(arithmetic.accumulator) || is_random(arithmetic.product) ||
      !takes_odd(arithmetic.product) || (scaled != nullptr && !scaled->has_one_scale())) {
    return false;
  }
  const std::optional<Sizes> distances = common_distances(offsets);
  if (!distances) return false;
  std::int64_t input = 1;
  for (const std::int64_t size : pool.input) input *= size;
  const auto outputs = static_cast<std::int64_t>(offsets.size());
  const std::int64_t count = pool.planes * outputs;
  const auto taps = static_cast<std::int64_t>(distances->size());

  Arithmetic of_sums = arithmetic;
  of_sums.product = Identity{};  // P rounds quotients alone
  if (of_sums.accumulate.mode == Accumulate::Mode::fused) {
    of_sums.accumulate.mode = Accumulate::Mode::step;
  }
  const std::vector<float> ones(distances->size(), 1.0f);
  SumsOfProducts<float> sums;
  sums.a.data = ones;
  sums.a.lines = {0};
  sums.a.taps = multiples(taps, 1);
  sums.b.data = span_of(x, pool.planes * input);
  Sizes firsts;
  for (const Sizes& window : offsets) firsts.push_back(window[0]);
  sums.b.lines = sums_of(multiples(pool.planes, input), firsts);
  sums.b.taps = *distances;
  set_min_exponents(of_sums, sums.b, sums.a);
  sums.a.min_exponent = 0;  // of ones
  if (scaled != nullptr && !scaled->scales.empty()) {
    sums.b.scales = Scales<float>{scaled->scales, multiples(count, 0), multiples(taps, 0)};
  }
  sums.y = y;
  sums.rows = {0};
  sums.columns = multiples(count, 1);
  sums_of_products(of_sums, context, sums);

  constexpr std::size_t kPiece = 256;
  parallel_for(static_cast<std::size_t>(count), kPiece, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    double room[kPiece];
    for (std::size_t first = begin; first < end; first += kPiece) {
      const std::span<double> values(room, std::min(kPiece, end - first));
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto output = (first + i) % offsets.size();
        values[i] = quotient_to_odd(y[first + i], static_cast<double>(pool.divisors[output]));
      }
      round_all(arithmetic.product, {}, 0, {}, values);
      store_as_float(arithmetic.product, values, y + first);
    }
  });
  return true;
}

Window window_of(const AveragePoolShape& shape, std::size_t d) {
  return {.kernel = shape.kernel[d],
          .stride = shape.stride[d],
          .padding_begin = shape.padding_begin[d],
          .padding_end = shape.padding_end[d]};
}

void check_volumes(std::int64_t planes, Sizes input, Sizes output) {
  input.insert(input.begin(), planes);
  output.insert(output.begin(), planes);
  volume("the input", input);
  volume("the output", output);
}

Sizes checked_output(const AveragePoolShape& shape) {
  const std::size_t dimensions = shape.input.size();
  for (const Sizes* sizes :
       {&shape.kernel, &shape.stride, &shape.padding_begin, &shape.padding_end}) {
    if (sizes->size() != dimensions) throw Error("sizes need an entry for each dimension");
  }
  if (shape.divisor == 0) throw Error("the divisor is 0");
  Sizes output(dimensions);
  for (std::size_t d = 0; d < dimensions; ++d) {
    output[d] = positions(window_of(shape, d), shape.input[d], shape.ceil_mode);
  }
  check_volumes(shape.planes, shape.input, output);
  return output;
}

// How many of a window's inputs there are, beside padding.
std::int64_t inside(const PoolWindow& window, std::int64_t input) {
  const std::int64_t begin = std::max<std::int64_t>(window.first, 0);
  const std::int64_t end = window.first + window.size;
  return std::min(end, input) - begin;
}

// The divisor of each output: the product of what `size` says of its windows.
template <class Size>
void set_divisors(AveragePool& pool, const Size& size) {
  pool.divisors = {1};
  for (std::size_t d = 0; d < pool.windows.size(); ++d) {
    Sizes longer;
    longer.reserve(pool.divisors.size() * pool.windows[d].size());
    for (const std::int64_t divisor : pool.divisors) {
      for (const PoolWindow& window : pool.windows[d]) {
        longer.push_back(volume("the window", Sizes{divisor, size(d, window)}));
      }
    }
    pool.divisors = std::move(longer);
  }
}

// call(), its errors as those of average pools.
template <class Call>
auto named_errors(const Call& call) {
  try {
    return call();
  } catch (const Error& error) {
    throw Error("average pool: " + std::string(error.what()));
  }
}

}  // namespace

Sizes AveragePoolShape::output() const {
  return named_errors([&] { return checked_output(*this); });
}

AveragePool average_pool_of(const AveragePoolShape& shape) {
  const Sizes output = shape.output();
  AveragePool pool{.planes = shape.planes, .input = shape.input, .windows = {}, .divisors = {}};
  for (std::size_t d = 0; d < output.size(); ++d) {
    const std::int64_t end = shape.input[d] + shape.padding_end[d];
    auto& windows = pool.windows.emplace_back();
    windows.reserve(static_cast<std::size_t>(output[d]));
    for (std::int64_t i = 0; i < output[d]; ++i) {
      const std::int64_t first = i * shape.stride[d] - shape.padding_begin[d];
      windows.push_back({first, std::min(shape.kernel[d], end - first)});
    }
  }
  named_errors([&] {
    set_divisors(pool, [&](std::size_t d, const PoolWindow& window) {
      if (shape.divisor || shape.count_include_pad) return window.size;
      if (inside(window, shape.input[d]) <= 0) {
        throw Error("a window of padding alone has no average");
      }
      return inside(window, shape.input[d]);
    });
  });
  if (shape.divisor) std::fill(pool.divisors.begin(), pool.divisors.end(), *shape.divisor);
  return pool;
}

AveragePool adaptive_average_pool_of(std::int64_t planes, const Sizes& input, const Sizes& output) {
  __extension__ using Wide = __int128;
  AveragePool pool{.planes = planes, .input = input, .windows = {}, .divisors = {}};
  named_errors([&] {
    if (input.size() != output.size()) throw Error("sizes need an entry for each dimension");
    for (std::size_t d = 0; d < input.size(); ++d) {
      if (input[d] == 0 && output[d] > 0) throw Error("the input is empty");
    }
    check_volumes(planes, input, output);
  });
  for (std::size_t d = 0; d < output.size(); ++d) {
    const Wide in = input[d], out = output[d];
    auto& windows = pool.windows.emplace_back();
    windows.reserve(static_cast<std::size_t>(output[d]));
    for (std::int64_t i = 0; i < output[d]; ++i) {
      const auto first = static_cast<std::int64_t>(i * in / out);
      const auto last = static_cast<std::int64_t>(((i + 1) * in + out - 1) / out);
      windows.push_back({first, last - first});
    }
  }
  set_divisors(pool, [](std::size_t, const PoolWindow& window) { return window.size; });
  return pool;
}

template <class T>
void average_pool(const Arithmetic& given, const ArithmeticContext& context,
                  const AveragePool& pool, const T* x, T* y, RangeReport* report, bool* outside,
                  const ScaledOperand<T>* scaled) {
  const DefaultFloatEnvironment environment;
  const Arithmetic arithmetic =
      with_outer(of_elements(given, ScaledOperands<T>{.data = scaled}), scaled != nullptr);
  std::int64_t input = 1, outputs = 1;
  for (const std::int64_t size : pool.input) input *= size;
  for (const auto& windows : pool.windows) outputs *= static_cast<std::int64_t>(windows.size());
  if (static_cast<std::int64_t>(pool.divisors.size()) != outputs) {
    throw Error("average pool: a divisor is needed for each output");
  }
  if (pool.planes * outputs == 0) return;
  std::vector<Sizes> offsets;
  std::size_t taps = 1;
  for (std::int64_t i = 0; i < outputs; ++i) {
    offsets.push_back(offsets_of(pool, i));
    taps = std::max(taps, offsets.back().size());
  }
  if constexpr (std::is_same_v<T, float>) {
    const bool by_step = arithmetic.accumulate.mode == Accumulate::Mode::step ||
                         arithmetic.accumulate.mode == Accumulate::Mode::fused;
    if (by_step && !arithmetic.outer && report == nullptr && outside == nullptr &&
        takes_odd(arithmetic.product) && takes_odd(arithmetic.accumulator)) {
      const std::size_t plane_work = static_cast<std::size_t>(outputs) * taps;
      const std::size_t block = 256;  // planes
      parallel_for(static_cast<std::size_t>(pool.planes) * plane_work, block * plane_work,
                   [&](std::size_t begin, std::size_t end) {
                     const DefaultFloatEnvironment environment;
                     const std::size_t last = end / plane_work;
                     for (std::size_t i = begin / plane_work; i < last; i += block) {
                       const auto plane = static_cast<std::int64_t>(i);
                       for (std::int64_t o = 0; o < outputs; ++o) {
                         average_together(
                             arithmetic, context, x + plane * input, input,
                             std::min(block, last - i), offsets[static_cast<std::size_t>(o)],
                             static_cast<double>(pool.divisors[static_cast<std::size_t>(o)]),
                             y + plane * outputs + o, plane * outputs + o, outputs);
                       }
                     }
                   });
      return;
    }
    if (report == nullptr && outside == nullptr &&
        average_by_products(arithmetic, context, pool, offsets, scaled, x, y)) {
      return;
    }
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
      PoolSum<T> sum(arithmetic, context, scaled, i, report != nullptr ? &local : nullptr,
                     outside != nullptr ? outside + i : nullptr);
      const std::int64_t first = static_cast<std::int64_t>(plane) * input;
      y[i] = sum.average(x + first, first, offsets[output], pool.divisors[output]);
    }
    const std::lock_guard lock(mutex);
    if (report != nullptr) report->merge(local);
  });
}

template void average_pool(const Arithmetic&, const ArithmeticContext&, const AveragePool&,
                           const float*, float*, RangeReport*, bool*, const ScaledOperand<float>*);
template void average_pool(const Arithmetic&, const ArithmeticContext&, const AveragePool&,
                           const double*, double*, RangeReport*, bool*,
                           const ScaledOperand<double>*);

}  // namespace tensorquant
