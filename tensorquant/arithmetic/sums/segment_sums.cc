#include "tensorquant/arithmetic/sums/segment_sums.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/segments.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

// The taps [first, last) of both factors, for a matrix of sums.
SumsOfProducts<float> part_of(const SumsOfProducts<float>& sums, std::size_t first,
                              std::size_t last, double* results) {
  SumsOfProducts<float> part;
  for (const auto& [from, to] : {std::pair{&sums.a, &part.a}, std::pair{&sums.b, &part.b}}) {
    to->data = from->data;
    to->lines = from->lines;
    to->taps.assign(from->taps.begin() + static_cast<std::ptrdiff_t>(first),
                    from->taps.begin() + static_cast<std::ptrdiff_t>(last));
    to->range = from->range;
    to->min_exponent = from->min_exponent;
  }
  const auto columns = static_cast<std::int64_t>(sums.columns.size());
  for (std::size_t i = 0; i < sums.rows.size(); ++i) {
    part.rows.push_back(static_cast<std::int64_t>(i) * columns);
  }
  for (std::int64_t j = 0; j < columns; ++j) part.columns.push_back(j);
  part.unconverted = results;
  return part;
}

// The scales of a factor's lines at a tap.
std::vector<float> scales_at(const Factor<float>& factor, std::size_t tap) {
  std::vector<float> scales(factor.lines.size(), 1.0f);
  if (!factor.scales) return scales;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const Scales<float>& s = *factor.scales;
    scales[i] = s.data[static_cast<std::size_t>(s.lines[i] + s.taps[tap])];
  }
  return scales;
}

// t = B(t + x * y), one row of outputs at a time, where x and y are no more than a bias, or scales
// and the sum of a segment.
class OuterSums {
 public:
  OuterSums(const Arithmetic& arithmetic, const ArithmeticContext& context,
            const SumsOfProducts<float>& sums)
      : format_(arithmetic.last_accumulator()),
        context_(context),
        sums_(sums),
        columns_(sums.columns.size()),
        t_(sums.rows.size() * columns_) {}

  void add_segment(std::size_t tap, const std::vector<double>& s, std::uint32_t number) {
    const std::vector<float> a = scales_at(sums_.a, tap), b = scales_at(sums_.b, tap);
    for_each_row([&](std::size_t row, std::span<double> t, std::span<double> products) {
      const double* const sum = s.data() + row * columns_;
      std::vector<std::size_t> inexact;
      for (std::size_t j = 0; j < columns_; ++j) {
        const double scale = static_cast<double>(a[row]) * static_cast<double>(b[j]);
        products[j] = scale * sum[j];
        // Whether the product is no double; NaN where it is not finite.
        if (std::fma(scale, sum[j], -products[j]) != 0) inexact.push_back(j);
      }
      std::vector<double> exact;
      for (const std::size_t j : inexact) {
        ExactSum<float, 3> total;
        total.add(t[j]);
        total.add_product(a[row], b[j], sum[j]);
        exact.push_back(total.rounded(format_, draw_of(row, j, kFirstOuterTap + number)));
      }
      add(row, t, products, kFirstOuterTap + number);
      for (std::size_t i = 0; i < inexact.size(); ++i) t[inexact[i]] = exact[i];
    });
  }

  void add_bias() {
    if (sums_.row_bias == nullptr && sums_.column_bias == nullptr) return;
    for_each_row([&](std::size_t row, std::span<double> t, std::span<double> biases) {
      for (std::size_t j = 0; j < columns_; ++j) {
        biases[j] = sums_.row_bias != nullptr ? sums_.row_bias[row] : sums_.column_bias[j];
      }
      add(row, t, biases, kBiasTap);
    });
  }

  void store() {
    for_each_row([&](std::size_t row, std::span<double> t, std::span<double>) {
      for (std::size_t j = 0; j < columns_; ++j) {
        sums_.y[sums_.rows[row] + sums_.columns[j]] = to_type<float>(format_, t[j]);
      }
    });
  }

 private:
  // body(row, its t, room for as many addends) on several threads.
  template <class Body>
  void for_each_row(const Body& body) {
    const std::size_t work = 8 * columns_;
    parallel_for(sums_.rows.size() * work, work, [&](std::size_t begin, std::size_t end) {
      const DefaultFloatEnvironment environment;
      std::vector<double> room(columns_);
      for (std::size_t row = begin / work; row < end / work; ++row) {
        body(row, std::span(t_).subspan(row * columns_, columns_), std::span(room));
      }
    });
  }

  // t = B(t + x) for doubles x.
  void add(std::size_t row, std::span<double> t, std::span<const double> x, std::uint32_t tap) {
    if (!takes_odd(format_)) {
      for (std::size_t j = 0; j < columns_; ++j) {
        ExactSum<float, 3> total;
        total.add(t[j]);
        total.add(x[j]);
        t[j] = total.rounded(format_, draw_of(row, j, tap));
      }
      return;
    }
    std::vector<std::int64_t> indices;
    if (is_random(format_)) {
      for (const std::int64_t column : sums_.columns) indices.push_back(sums_.rows[row] + column);
    }
    add_to_odd(t, x);
    round_all(format_, context_.accumulator(), tap, indices, t);
  }

  Draw draw_of(std::size_t row, std::size_t column, std::uint32_t tap) const {
    const auto index = static_cast<std::uint64_t>(sums_.rows[row] + sums_.columns[column]);
    return draw(format_, context_.accumulator(), index, tap);
  }

  const GridFormat& format_;
  const ArithmeticContext& context_;
  const SumsOfProducts<float>& sums_;
  const std::size_t columns_;
  std::vector<double> t_;
};

}  // namespace

bool has_segment_sums(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums) {
  return (arithmetic.outer || sums.has_scales()) && sums.outside == nullptr &&
         !is_random(arithmetic.product) && !is_random(arithmetic.accumulator);
}

SumPlan run_segments(const Arithmetic& given, const ArithmeticContext& context,
                     SumsOfProducts<float> sums) {
  for (Factor<float>* factor : {&sums.a, &sums.b}) {  // not anew for each segment
    if (!factor->range) factor->range = range_of(factor->data);
  }
  const Arithmetic arithmetic = with_outer(given, sums.has_scales());
  Arithmetic inner = arithmetic;
  inner.outer.reset();
  OuterSums outer(arithmetic, context, sums);
  std::vector<double> s(sums.rows.size() * sums.columns.size());
  SumPlan first_plan;
  std::size_t first = 0;
  std::uint32_t number = 0;
  for (const std::size_t end : segment_ends(arithmetic, sums)) {
    const SumPlan plan = sums_of_products(inner, context, part_of(sums, first, end, s.data()));
    if (number == 0) first_plan = plan;
    outer.add_segment(first, s, number++);
    first = end;
  }
  outer.add_bias();
  outer.store();
  first_plan.reason += number == 0 ? "there is no product" : ", segment by segment";
  return first_plan;
}

}  // namespace tensorquant
