#include "tensorquant/arithmetic/layers/add.h"

#include <algorithm>
#include <type_traits>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/layers/block.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {

template <class T>
void rounded_add(const Arithmetic& arithmetic, const ArithmeticContext& context,
                 std::span<const T> a, std::span<const T> b, std::span<T> y, RangeReport* report,
                 bool* outside) {
  const DefaultFloatEnvironment environment;
  for_each_block(a.size(), report, [&](std::size_t first, std::size_t count, RangeReport* counts) {
    if constexpr (std::is_same_v<T, float>) {
      if (takes_odd(arithmetic.last_accumulator())) {
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
      y[i] = to_type<T>(arithmetic.last_accumulator(),
                        rounded_sum<T>(arithmetic, context, sum, i, 0,
                                       outside != nullptr ? outside + i : nullptr));
    }
  });
}

template void rounded_add(const Arithmetic&, const ArithmeticContext&, std::span<const float>,
                          std::span<const float>, std::span<float>, RangeReport*, bool*);
template void rounded_add(const Arithmetic&, const ArithmeticContext&, std::span<const double>,
                          std::span<const double>, std::span<double>, RangeReport*, bool*);

}  // namespace tensorquant
