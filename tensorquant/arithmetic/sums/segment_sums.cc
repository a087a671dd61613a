#include "tensorquant/arithmetic/sums/segment_sums.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
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

// t = B(t + x * y), where x and y are no more than a bias, or scales and the sum of a segment. A
// piece of a row at a time, which stays in the cache.
class OuterSums {
 public:
  OuterSums(const Arithmetic& arithmetic, const ArithmeticContext& context,
            const SumsOfProducts<float>& sums)
      : format_(arithmetic.last_accumulator()),
        takes_odd_(takes_odd(format_)),
        context_(context),
        sums_(sums),
        columns_(sums.columns.size()),
        t_(sums.rows.size() * columns_) {}

  void add_segment(std::size_t tap, const std::vector<double>& s, std::uint32_t number) {
    const std::vector<float> a = scales_at(sums_.a, tap), b = scales_at(sums_.b, tap);
    for_each_piece([&](const Piece& piece, std::span<double> t, std::span<double> scales) {
      const auto sum = std::span(s).subspan(piece.row * columns_ + piece.first, t.size());
      for (std::size_t j = 0; j < t.size(); ++j) {
        scales[j] = static_cast<double>(a[piece.row]) * static_cast<double>(b[piece.first + j]);
      }
      std::vector<std::pair<std::size_t, double>> exact;
      for (std::size_t j = 0; j < t.size(); ++j) {
        if (takes_odd_) {
          j += add_products_to_odd(t.subspan(j), scales.subspan(j), sum.subspan(j));
          if (j == t.size()) break;
        }
        ExactSum<float, 3> total;
        total.add(t[j]);
        total.add_product(a[piece.row], b[piece.first + j], sum[j]);
        exact.emplace_back(j, total.rounded(format_, draw_of(piece, j, kFirstOuterTap + number)));
      }
      if (takes_odd_) round(piece, t, kFirstOuterTap + number);
      for (const auto& [j, value] : exact) t[j] = value;
    });
  }

  void add_bias() {
    if (sums_.row_bias == nullptr && sums_.column_bias == nullptr) return;
    for_each_piece([&](const Piece& piece, std::span<double> t, std::span<double> biases) {
      for (std::size_t j = 0; j < t.size(); ++j) {
        biases[j] = sums_.row_bias != nullptr ? sums_.row_bias[piece.row]
                                              : sums_.column_bias[piece.first + j];
      }
      if (takes_odd_) {
        add_to_odd(t, biases);
        return round(piece, t, kBiasTap);
      }
      for (std::size_t j = 0; j < t.size(); ++j) {
        ExactSum<float, 3> total;
        total.add(t[j]);
        total.add(biases[j]);
        t[j] = total.rounded(format_, draw_of(piece, j, kBiasTap));
      }
    });
  }

  void store() {
    for_each_piece([&](const Piece& piece, std::span<double> t, std::span<double>) {
      std::array<float, kPiece> y;
      store_as_float(format_, t, y.data());
      for (std::size_t j = 0; j < t.size(); ++j) sums_.y[place_of(piece, j)] = y[j];
    });
  }

 private:
  static constexpr std::size_t kPiece = 1024;
  struct Piece {
    std::size_t row;
    std::size_t first;  // column
  };

  // body(piece, its t, room for as many numbers) on several threads.
  template <class Body>
  void for_each_piece(const Body& body) {
    const std::size_t in_row = (columns_ + kPiece - 1) / kPiece, work = 8 * kPiece;
    parallel_for(sums_.rows.size() * in_row * work, work, [&](std::size_t begin, std::size_t end) {
      const DefaultFloatEnvironment environment;
      std::array<double, kPiece> room;
      for (std::size_t i = begin / work; i < end / work; ++i) {
        const Piece piece = {i / in_row, i % in_row * kPiece};
        const std::size_t count = std::min(kPiece, columns_ - piece.first);
        body(piece, std::span(t_).subspan(piece.row * columns_ + piece.first, count),
             std::span(room).first(count));
      }
    });
  }

  // Of numbers rounded to odd.
  void round(const Piece& piece, std::span<double> t, std::uint32_t tap) {
    std::vector<std::int64_t> indices;
    if (is_random(format_)) {
      for (std::size_t j = 0; j < t.size(); ++j) indices.push_back(place_of(piece, j));
    }
    round_all(format_, context_.accumulator(), tap, indices, t);
  }

  std::int64_t place_of(const Piece& piece, std::size_t j) const {
    return sums_.rows[piece.row] + sums_.columns[piece.first + j];
  }

  Draw draw_of(const Piece& piece, std::size_t j, std::uint32_t tap) const {
    return draw(format_, context_.accumulator(), static_cast<std::uint64_t>(place_of(piece, j)),
                tap);
  }

  const GridFormat& format_;
  const bool takes_odd_;
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
