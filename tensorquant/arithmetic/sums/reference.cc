#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>
#include <vector>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/sums/output_sum.h"
#include "tensorquant/arithmetic/sums/segments.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

// The terms of one output.
template <class T>
class Products {
 public:
  Products(const Arithmetic& arithmetic, const ArithmeticContext& context,
           const SumsOfProducts<T>& sums, std::size_t row, std::size_t column, std::uint64_t index,
           RangeReport* report)
      : arithmetic_(arithmetic),
        context_(context),
        sums_(sums),
        row_(row),
        column_(column),
        index_(index),
        report_(report),
        keeps_product_(is_none(arithmetic.product) ||
                       arithmetic.accumulate.mode == Accumulate::Mode::fused) {}

  SumTerm operator()(std::size_t k) const {
    const T a = element(sums_.a, row_, k), b = element(sums_.b, column_, k);
    const bool is_number = std::isfinite(a) && std::isfinite(b) && a != 0 && b != 0;
    const int exponent = is_number ? aligned_exponent(a, sums_.a.min_exponent) +
                                         aligned_exponent(b, sums_.b.min_exponent)
                                   : 0;
    const double value = static_cast<double>(a) * static_cast<double>(b);
    if (report_ != nullptr) count(value);
    if (keeps_product_) {
      return is_number ? SumTerm{value, exact_product(a, b), exponent} : SumTerm{value, {}, 0};
    }
    ExactSum<T> product;
    product.add_product(a, b);
    return term_of(
        product.rounded(arithmetic_.product, draw(arithmetic_.product, context_.product(), index_,
                                                  static_cast<std::uint32_t>(k))),
        exponent);
  }

  std::pair<T, T> scales(std::size_t k) const {
    return {scale(sums_.a, row_, k), scale(sums_.b, column_, k)};
  }

 private:
  static T element(const Factor<T>& factor, std::size_t line, std::size_t tap) {
    return factor.data[static_cast<std::size_t>(factor.lines[line] + factor.taps[tap])];
  }
  static T scale(const Factor<T>& factor, std::size_t line, std::size_t tap) {
    if (!factor.scales) return 1;
    const Scales<T>& s = *factor.scales;
    return s.data[static_cast<std::size_t>(s.lines[line] + s.taps[tap])];
  }

  void count(double product) const {
    if (std::isfinite(product)) {
      report_->largest_product = std::max(report_->largest_product, std::abs(product));
    }
    if (keeps_product_) return;
    ++report_->products;
    const Bounds<double> ends = ends_of<T>(arithmetic_.product);
    if (product < ends.lowest || product > ends.highest) ++report_->clamped_products;
  }

  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  const SumsOfProducts<T>& sums_;
  const std::size_t row_, column_;
  const std::uint64_t index_;
  RangeReport* const report_;
  const bool keeps_product_;
};

}  // namespace

template <class T>
void sums_of_products_reference(const Arithmetic& given, const ArithmeticContext& context,
                                const SumsOfProducts<T>& sums, RangeReport* report) {
  const Arithmetic arithmetic = with_outer(given, sums.has_scales());
  const std::vector<std::size_t> ends = segment_ends(arithmetic, sums);
  const std::size_t columns = sums.columns.size();
  const std::size_t count = sums.rows.size() * columns;
  const std::size_t work = 100 * std::max<std::size_t>(sums.taps(), 1);  // of an output
  std::mutex mutex;
  parallel_for(count * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    RangeReport local;
    RangeReport* const counts = report != nullptr ? &local : nullptr;
    for (std::size_t i = begin / work; i < end / work; ++i) {
      const std::size_t row = i / columns, column = i % columns;
      const std::int64_t place = sums.rows[row] + sums.columns[column];
      const auto index = static_cast<std::uint64_t>(place);
      const Products<T> products(arithmetic, context, sums, row, column, index, counts);
      OutputSum<T> sum(arithmetic, context, index, counts,
                       sums.outside != nullptr ? sums.outside + place : nullptr);
      const double result = sum.add_up(
          ends, products, [&](std::size_t k) { return products.scales(k); },
          sums.bias(row, column));
      if (sums.unconverted != nullptr) {
        sums.unconverted[place] = result;
      } else {
        sums.y[place] = to_type<T>(arithmetic.last_accumulator(), result);
      }
    }
    if (report == nullptr) return;
    const std::lock_guard lock(mutex);
    report->merge(local);
  });
}

template void sums_of_products_reference(const Arithmetic&, const ArithmeticContext&,
                                         const SumsOfProducts<float>&, RangeReport*);
template void sums_of_products_reference(const Arithmetic&, const ArithmeticContext&,
                                         const SumsOfProducts<double>&, RangeReport*);

}  // namespace tensorquant
