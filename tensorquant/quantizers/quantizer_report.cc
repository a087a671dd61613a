#include "tensorquant/quantizers/quantizer_report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/kernels.h"
#include "tensorquant/quantizers/half_precision.h"

namespace tensorquant {
namespace {

constexpr std::size_t kBlock = 4096;

std::optional<double> share(std::uint64_t part, std::uint64_t all) {
  if (all == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(all);
}

template <class T>
std::uint64_t count_overflows(const Format& format, std::span<const T> x, const Context& context) {
  const auto memory = std::make_unique<bool[]>(x.size());
  const std::span<bool> over(memory.get(), x.size());
  std::visit([&](const auto& f) { find_overflows(f, x, over, context); }, format);
  return static_cast<std::uint64_t>(std::count(over.begin(), over.end(), true));
}

// y = q(x).
template <class T>
QuantizerReport compare(const Quantizer& quantizer, std::span<const T> x, std::span<const T> y,
                        const Context& context) {
  QuantizerReport report;
  std::mutex mutex;
  parallel_for(x.size(), kBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;  // a subnormal number is not zero
    QuantizerReport own;
    for (std::size_t i = begin; i < end; ++i) {
      const auto value = static_cast<double>(x[i]);
      if (!std::isfinite(value)) continue;
      ++own.values;
      if (value != 0) ++own.nonzero;
      if (value != 0 && y[i] == 0) ++own.became_zero;
      own.lowest = std::min(own.lowest, value);
      own.highest = std::max(own.highest, value);
    }
    const std::lock_guard lock(mutex);
    report.merge(own);
  });
  if (const Format* const format = quantizer.format()) {
    report.storage = storage<T>(*format);
    report.saturated = count_overflows(*format, x, context);
  } else {
    report.saturated = std::nullopt;
  }
  return report;
}

template <class Half>
std::vector<float> widened(std::span<const Half> x) {
  std::vector<float> numbers(x.size());
  to_float(x, numbers);
  return numbers;
}

}  // namespace

std::optional<double> QuantizerReport::saturated_share() const {
  return saturated ? share(*saturated, values) : std::nullopt;
}

std::optional<double> QuantizerReport::became_zero_share() const {
  return share(became_zero, nonzero);
}

void QuantizerReport::merge(const QuantizerReport& other) {
  if (!storage) storage = other.storage;
  values += other.values;
  nonzero += other.nonzero;
  saturated =
      saturated && other.saturated ? std::optional(*saturated + *other.saturated) : std::nullopt;
  became_zero += other.became_zero;
  lowest = std::min(lowest, other.lowest);
  highest = std::max(highest, other.highest);
}

template <class T>
QuantizerReport report_of(const Quantizer& quantizer, std::span<const T> x,
                          const Context& context) {
  std::vector<T> y(x.size());
  if constexpr (std::is_floating_point_v<T>) {
    quantizer.quantize(x, std::span<T>(y), context);
    return compare<T>(quantizer, x, y, context);
  } else {
    quantize<T>(quantizer, x, y, context);
    return compare<float>(quantizer, widened<T>(x), widened<T>(y), context);
  }
}

template QuantizerReport report_of(const Quantizer&, std::span<const float>, const Context&);
template QuantizerReport report_of(const Quantizer&, std::span<const double>, const Context&);
template QuantizerReport report_of(const Quantizer&, std::span<const Float16>, const Context&);
template QuantizerReport report_of(const Quantizer&, std::span<const BFloat16>, const Context&);

}  // namespace tensorquant
