#include "tensorquant/arithmetic/layers/softmax.h"

#include <cmath>
#include <vector>

#include "tensorquant/arithmetic/layers/exact_steps.h"

namespace tensorquant {
namespace {

// The first of the largest numbers; NaN where one is.
template <class T>
double largest(std::span<const T> x) {
  double most = x[0];
  for (const T value : x) {
    if (value > most || std::isnan(value)) most = value;
  }
  return most;
}

}  // namespace

template <class T>
void softmax(const Arithmetic& arithmetic, const ArithmeticContext& context, std::size_t size,
             bool is_logarithm, std::span<const T> x, std::span<T> y, bool* outside) {
  if (x.empty()) return;
  const ExactSteps<T> steps(arithmetic, context);
  for_each_row(x.size() / size, size, [&](std::size_t row) {
    const std::size_t first = row * size;
    const double most = largest(x.subspan(first, size));
    std::vector<double> differences(size), powers(size);
    for (std::size_t k = 0; k < size; ++k) {
      differences[k] = steps.sum(x[first + k], -most, first + k, 0);
      powers[k] = steps.function(Function::exp, differences[k], first + k, 0);
    }
    const double sum = steps.sum_of(powers, row, kFirstRowTap);
    if (!is_logarithm) {
      for (std::size_t k = 0; k < size; ++k) {
        y[first + k] = steps.product_in_type(steps.quotient(powers[k], sum, first + k, 1));
      }
      return;
    }
    const double log = steps.function(Function::log, sum, row, kFirstRowTap);
    for (std::size_t k = 0; k < size; ++k) {
      bool* const is_outside = outside != nullptr ? outside + first + k : nullptr;
      y[first + k] = steps.sum_in_type(steps.sum(differences[k], -log, first + k, 1, is_outside));
    }
  });
}

template void softmax(const Arithmetic&, const ArithmeticContext&, std::size_t, bool,
                      std::span<const float>, std::span<float>, bool*);
template void softmax(const Arithmetic&, const ArithmeticContext&, std::size_t, bool,
                      std::span<const double>, std::span<double>, bool*);

}  // namespace tensorquant
