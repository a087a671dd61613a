#include "tensorquant/quantizers/clipped_gradient.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/kernels.h"
#include "tensorquant/quantizers/half_precision.h"

namespace tensorquant {
namespace {

constexpr std::size_t kBlock = 4096;

template <class T>
void find_inside(Bounds<T> limits, std::span<const T> x, std::span<bool> inside) {
  for (std::size_t i = 0; i < x.size(); ++i) {  // without a branch: compilers make vectors of it
    inside[i] = std::bit_and<bool>()(limits.lowest <= x[i], x[i] <= limits.highest);
  }
}

}  // namespace

bool clips_gradient(const Quantizer& quantizer) {
  return quantizer.format() != nullptr && !quantizer.is_straight_through();
}

template <class T>
void find_inside(const Quantizer& quantizer, std::span<const T> x, std::span<bool> inside,
                 const Context& context) {
  if (x.size() != inside.size()) {
    throw Error("quantizer '" + quantizer.spec() + "': the input has " + std::to_string(x.size()) +
                " elements, the marks of its gradient " + std::to_string(inside.size()));
  }
  constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;
  using Number = std::conditional_t<kIsHalf, float, T>;
  if (!has_elementwise_gradient(quantizer)) {
    const auto& format = std::get<Scaled>(*quantizer.format());
    if constexpr (kIsHalf) {
      std::vector<float> numbers(x.size());
      to_float(x, numbers);
      return find_inside(format, std::span<const float>(numbers), inside, context);
    } else {
      return find_inside(format, x, inside, context);
    }
  }
  parallel_for(x.size(), kBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;  // the bounds may be subnormal
    const Bounds<Number> limits =
        std::visit([](const auto& f) { return bounds<Number>(f); }, *quantizer.format());
    if constexpr (kIsHalf) {
      std::array<float, kBlock> numbers;
      for (std::size_t i = begin; i < end; i += kBlock) {
        const std::size_t count = std::min(kBlock, end - i);
        const std::span<float> block(numbers.data(), count);
        to_float(x.subspan(i, count), block);
        find_inside<float>(limits, block, inside.subspan(i, count));
      }
    } else {
      find_inside<T>(limits, x.subspan(begin, end - begin), inside.subspan(begin, end - begin));
    }
  });
}

template void find_inside(const Quantizer&, std::span<const float>, std::span<bool>,
                          const Context&);
template void find_inside(const Quantizer&, std::span<const double>, std::span<bool>,
                          const Context&);
template void find_inside(const Quantizer&, std::span<const Float16>, std::span<bool>,
                          const Context&);
template void find_inside(const Quantizer&, std::span<const BFloat16>, std::span<bool>,
                          const Context&);

}  // namespace tensorquant
