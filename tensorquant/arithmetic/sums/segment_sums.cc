#include "tensorquant/arithmetic/sums/segment_sums.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "tensorquant/arithmetic/sums/outer_sums.h"
#include "tensorquant/arithmetic/sums/segments.h"
#include "tensorquant/arithmetic/sums/sum_bounds.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/arithmetic/sums/sum_plans.h"
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

}  // namespace

bool has_segment_sums(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums) {
  return (arithmetic.outer || sums.has_scales()) && sums.outside == nullptr &&
         !is_random(arithmetic.product) && !is_random(arithmetic.accumulator);
}

namespace {

// body(tile) for all outputs, on several threads.
template <class Body>
void for_each_tile(std::size_t rows, std::size_t columns, const Body& body) {
  constexpr std::size_t kPiece = 1024;
  const std::size_t in_row = (columns + kPiece - 1) / kPiece, work = 8 * kPiece;
  parallel_for(rows * in_row * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin / work; i < end / work; ++i) {
      const std::size_t first = i % in_row * kPiece;
      body(Tile{i / in_row, 1, first, std::min(kPiece, columns - first), columns});
    }
  });
}

// One segment after the other, each by whichever loop serves it.
SumPlan run_one_by_one(const Arithmetic& inner, const ArithmeticContext& context,
                       const SumsOfProducts<float>& sums, const OuterSums& outer) {
  const std::size_t rows = sums.rows.size(), columns = sums.columns.size();
  std::vector<double> s(rows * columns), t(rows * columns);
  std::vector<float> room(columns);
  const auto part = [&](std::vector<double>& all, const Tile& tile) {
    return all.data() + tile.row * columns + tile.column;
  };
  SumPlan first_plan;
  for (std::size_t i = 0; i < outer.ends().size(); ++i) {
    const std::size_t first = outer.first_tap(i);
    const SumPlan plan =
        sums_of_products(inner, context, part_of(sums, first, outer.ends()[i], s.data()));
    if (i == 0) first_plan = plan;
    outer.column_scales(i, 0, room);
    for_each_tile(rows, columns, [&](const Tile& tile) {
      const ColumnScales scales = {std::span(room).subspan(tile.column, tile.columns), {}};
      outer.add(tile, i, scales, part(s, tile), part(t, tile));
    });
  }
  for_each_tile(rows, columns, [&](const Tile& tile) { outer.finish(tile, part(t, tile)); });
  return first_plan;
}

}  // namespace

SumPlan run_segments(const Arithmetic& given, const ArithmeticContext& context,
                     SumsOfProducts<float> sums) {
  for (Factor<float>* factor : {&sums.a, &sums.b}) {  // not anew for each segment
    if (!factor->range) factor->range = range_of(factor->data);
  }
  const Arithmetic arithmetic = with_outer(given, sums.has_scales());
  Arithmetic inner = arithmetic;
  inner.outer.reset();
  OuterSums outer(arithmetic, context, sums, segment_ends(arithmetic, sums));
  if (outer.ends().empty()) {
    SumPlan plan = run_one_by_one(inner, context, sums, outer);
    plan.reason = "there is no product";
    return plan;
  }
  SumJob job{inner, context, sums, {}, {}, &outer};
  job.plan = plan(SumBounds(inner, sums, outer.ends()), job.constants);
  if (is_by_tile(job.plan.kernel)) {
    outer.set_sums_in_float32(job.constants.sums_in_float32);
    run_sum_kernel(job);
  } else {
    job.plan = run_one_by_one(inner, context, sums, outer);
  }
  job.plan.reason += ", segment by segment";
  return job.plan;
}

}  // namespace tensorquant
