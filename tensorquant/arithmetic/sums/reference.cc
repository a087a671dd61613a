#include <algorithm>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

// One output: its sum, tap by tap.
template <class T>
class Output {
 public:
  Output(const Arithmetic& arithmetic, const ArithmeticContext& context, std::int64_t index)
      : arithmetic_(arithmetic),
        context_(context),
        index_(static_cast<std::uint64_t>(index)),
        keeps_product_(is_none(arithmetic.product) ||
                       arithmetic.accumulate.mode == Accumulate::Mode::fused) {}

  T compute(const SumsOfProducts<T>& sums, std::size_t row, std::size_t column) {
    using enum Accumulate::Mode;
    const Accumulate& accumulate = arithmetic_.accumulate;
    const std::size_t taps = sums.taps();
    const std::size_t together = accumulate.mode == once    ? taps
                                 : accumulate.mode == chunk ? accumulate.chunk
                                                            : 1;
    const T* bias = sums.row_bias != nullptr      ? sums.row_bias + row
                    : sums.column_bias != nullptr ? sums.column_bias + column
                                                  : nullptr;
    double s = 0;
    std::uint32_t number = 0;  // of the rounding
    for (std::size_t first = 0; first < taps; first += together, ++number) {
      ExactSum<T> chunk_sum;
      const std::size_t end = std::min(taps, first + together);
      for (std::size_t k = first; k < end; ++k) {
        add_product(sums.a.data[at(sums.a, row, k)], sums.b.data[at(sums.b, column, k)], k,
                    chunk_sum);
      }
      const bool by_chunk = accumulate.mode == once || accumulate.mode == chunk;
      if (by_chunk) chunk_sum.add(0.0);  // a chunk whose sum is zero is +0
      if (accumulate.mode != once) chunk_sum.add(s);
      if (bias == nullptr && end == taps) look(chunk_sum, sums);
      s = rounded(chunk_sum, number);
    }
    if (bias != nullptr) {
      ExactSum<T> sum;
      sum.add(s);
      sum.add(*bias);
      look(sum, sums);
      s = rounded(sum, kBiasTap);
    }
    return to_type<T>(arithmetic_.accumulator, s);
  }

 private:
  static std::size_t at(const Factor<T>& factor, std::size_t line, std::size_t tap) {
    return static_cast<std::size_t>(factor.lines[line] + factor.taps[tap]);
  }

  void add_product(T a, T b, std::size_t tap, ExactSum<T>& sum) const {
    if (keeps_product_) {
      sum.add_product(a, b);
      return;
    }
    ExactSum<T> product;
    product.add_product(a, b);
    sum.add(product.rounded(arithmetic_.product, draw(arithmetic_.product, context_.product(),
                                                      index_, static_cast<std::uint32_t>(tap))));
  }

  // At the sum before the last rounding.
  void look(const ExactSum<T>& sum, const SumsOfProducts<T>& sums) const {
    if (sums.outside == nullptr) return;
    sums.outside[index_] = sum.is_outside(ends_of<T>(arithmetic_.accumulator));
  }

  double rounded(const ExactSum<T>& sum, std::uint32_t tap) const {
    return sum.rounded(arithmetic_.accumulator,
                       draw(arithmetic_.accumulator, context_.accumulator(), index_, tap));
  }

  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  std::uint64_t index_;
  bool keeps_product_;
};

}  // namespace

template <class T>
void sums_of_products_reference(const Arithmetic& arithmetic, const ArithmeticContext& context,
                                const SumsOfProducts<T>& sums) {
  const std::size_t columns = sums.columns.size();
  const std::size_t count = sums.rows.size() * columns;
  const std::size_t work = 100 * std::max<std::size_t>(sums.taps(), 1);  // of an output
  parallel_for(count * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin / work; i < end / work; ++i) {
      const std::size_t row = i / columns, column = i % columns;
      const std::int64_t index = sums.rows[row] + sums.columns[column];
      sums.y[index] = Output<T>(arithmetic, context, index).compute(sums, row, column);
    }
  });
}

template void sums_of_products_reference(const Arithmetic&, const ArithmeticContext&,
                                         const SumsOfProducts<float>&);
template void sums_of_products_reference(const Arithmetic&, const ArithmeticContext&,
                                         const SumsOfProducts<double>&);

}  // namespace tensorquant
