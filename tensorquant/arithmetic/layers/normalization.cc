#include "tensorquant/arithmetic/layers/normalization.h"

#include <vector>

#include "tensorquant/arithmetic/layers/exact_steps.h"

namespace tensorquant {
namespace {

template <class T>
class Row {
 public:
  Row(const ExactSteps<T>& steps, const Normalization<T>& norm, std::span<const T> x,
      std::size_t row)
      : steps_(steps),
        norm_(norm),
        row_(row),
        first_(row * norm.size),
        values_(x.begin() + static_cast<std::ptrdiff_t>(first_),
                x.begin() + static_cast<std::ptrdiff_t>(first_ + norm.size)) {}

  void normalize(std::span<T> y, bool* outside) {
    if (norm_.is_centered) center();
    const double factor = inverse_deviation();
    for (std::size_t k = 0; k < values_.size(); ++k) {
      const std::size_t i = first_ + k;
      const double product = steps_.product(values_[k], factor, i, 1);
      y[i] = scaled(product, i, outside != nullptr ? outside + i : nullptr);
    }
  }

 private:
  double size() const { return static_cast<double>(norm_.size); }

  void center() {
    const double sum = steps_.sum_of(values_, row_, kFirstRowTap);
    const double mean = steps_.quotient(sum, size(), row_, kFirstRowTap);
    for (std::size_t k = 0; k < values_.size(); ++k) {
      values_[k] = steps_.sum(values_[k], -mean, first_ + k, 0);
    }
  }

  double inverse_deviation() const {
    const double sum = steps_.sum_of_squares(values_, first_, row_, kSecondSumTap);
    const double variance = steps_.quotient(sum, size(), row_, kFirstRowTap + 1);
    const double root = steps_.root_of_sum(variance, norm_.epsilon, row_, kFirstRowTap + 2);
    return steps_.quotient(1, root, row_, kFirstRowTap + 3);
  }

  T scaled(double x, std::size_t i, bool* outside) const {
    if (norm_.gamma.empty()) return steps_.product_in_type(x);
    const std::size_t channel = i / norm_.plane % norm_.gamma.size();
    const double gamma = norm_.gamma[channel];
    if (norm_.beta.empty()) return steps_.product_in_type(steps_.product(x, gamma, i, 2));
    return steps_.sum_in_type(
        steps_.product_and_sum(x, gamma, norm_.beta[channel], i, 2, 1, false, outside));
  }

  const ExactSteps<T>& steps_;
  const Normalization<T>& norm_;
  const std::size_t row_, first_;
  std::vector<double> values_;
};

}  // namespace

template <class T>
void normalize(const Arithmetic& arithmetic, const ArithmeticContext& context,
               const Normalization<T>& norm, std::span<const T> x, std::span<T> y, bool* outside) {
  if (x.empty()) return;
  const ExactSteps<T> steps(arithmetic, context);
  for_each_row(x.size() / norm.size, norm.size,
               [&](std::size_t row) { Row<T>(steps, norm, x, row).normalize(y, outside); });
}

template void normalize(const Arithmetic&, const ArithmeticContext&, const Normalization<float>&,
                        std::span<const float>, std::span<float>, bool*);
template void normalize(const Arithmetic&, const ArithmeticContext&, const Normalization<double>&,
                        std::span<const double>, std::span<double>, bool*);

}  // namespace tensorquant
