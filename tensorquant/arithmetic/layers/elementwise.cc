#include "tensorquant/arithmetic/layers/elementwise.h"

#include "tensorquant/arithmetic/layers/block.h"
#include "tensorquant/arithmetic/layers/exact_steps.h"

namespace tensorquant {
namespace {

// y[i] = step(i), a value of the product's format.
template <class T, class Step>
void for_each_element(const ExactSteps<T>& steps, std::span<T> y, const Step& step) {
  for_each_block(y.size(), nullptr, [&](std::size_t first, std::size_t count, RangeReport*) {
    for (std::size_t i = first; i < first + count; ++i) y[i] = steps.product_in_type(step(i));
  });
}

}  // namespace

template <class T>
void rounded_function(const Arithmetic& arithmetic, const ArithmeticContext& context,
                      Function function, std::span<const T> x, std::span<T> y) {
  const ExactSteps<T> steps(arithmetic, context);
  for_each_element(steps, y, [&](std::size_t i) { return steps.function(function, x[i], i, 0); });
}

template <class T>
void rounded_multiply(const Arithmetic& arithmetic, const ArithmeticContext& context,
                      std::span<const T> a, std::span<const T> b, std::span<T> y) {
  const ExactSteps<T> steps(arithmetic, context);
  for_each_element(steps, y, [&](std::size_t i) { return steps.product(a[i], b[i], i, 0); });
}

template <class T>
void rounded_divide(const Arithmetic& arithmetic, const ArithmeticContext& context,
                    std::span<const T> a, std::span<const T> b, std::span<T> y) {
  const ExactSteps<T> steps(arithmetic, context);
  for_each_element(steps, y, [&](std::size_t i) { return steps.quotient(a[i], b[i], i, 0); });
}

#define TENSORQUANT_INSTANTIATE(T)                                                                \
  template void rounded_function(const Arithmetic&, const ArithmeticContext&, Function,           \
                                 std::span<const T>, std::span<T>);                               \
  template void rounded_multiply(const Arithmetic&, const ArithmeticContext&, std::span<const T>, \
                                 std::span<const T>, std::span<T>);                               \
  template void rounded_divide(const Arithmetic&, const ArithmeticContext&, std::span<const T>,   \
                               std::span<const T>, std::span<T>)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant
