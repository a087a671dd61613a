#include "tensorquant/arithmetic/sums/outer_sums.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tensorquant/arithmetic/exact/exact_sum.h"

namespace tensorquant {
namespace {

constexpr std::size_t kMostColumns = 1024;  // of a tile

}  // namespace

OuterSums::OuterSums(const Arithmetic& arithmetic, const ArithmeticContext& context,
                     const SumsOfProducts<float>& sums, std::vector<std::size_t> ends)
    : format_(arithmetic.last_accumulator()),
      is_float32_(is_float32(format_)),
      takes_odd_(takes_odd(format_)),
      context_(context),
      sums_(sums),
      ends_(std::move(ends)) {}

float OuterSums::scale_of(const Factor<float>& factor, std::size_t segment,
                          std::size_t line) const {
  if (!factor.scales) return 1;
  const Scales<float>& s = *factor.scales;
  return s.data[static_cast<std::size_t>(s.lines[line] + s.taps[first_tap(segment)])];
}

void OuterSums::copy_column_scales(std::size_t segment, std::size_t first,
                                   std::span<double> scales) const {
  const std::size_t last = sums_.columns.size() - 1;
  for (std::size_t j = 0; j < scales.size(); ++j) {
    scales[j] = scale_of(sums_.b, segment, std::min(first + j, last));
  }
}

void OuterSums::add(const Tile& tile, std::size_t segment, std::span<const double> column_scales,
                    const double* s, double* t) const {
  std::array<double, kMostColumns> scales;
  const std::size_t width = is_float32_ ? column_scales.size() : tile.columns;
  const auto tap = kFirstOuterTap + static_cast<std::uint32_t>(segment);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    const double a = scale_of(sums_.a, segment, tile.row + i);
    for (std::size_t j = 0; j < width; ++j) scales[j] = a * column_scales[j];
    const std::span<const double> row_s(s + i * tile.stride, width);
    const std::span<double> row_t(t + i * tile.stride, width);
    std::size_t first = 0;
    if (is_float32_) {
      first = add_products_to_float(row_t, std::span(scales).first(width), row_s);
      if (first >= tile.columns) continue;
    }
    const std::size_t count = tile.columns - first;
    const auto rest = row_t.subspan(first, count);
    const auto rest_s = row_s.subspan(first, count);
    if (!takes_odd_) {
      add_exactly(tile, i, segment, first, rest_s, rest);
      continue;
    }
    std::vector<std::pair<std::size_t, double>> exact;
    for (std::size_t j = 0; j < count; ++j) {
      j += add_products_to_odd(rest.subspan(j), std::span(scales).subspan(first + j, count - j),
                               rest_s.subspan(j));
      if (j == count) break;
      double value = rest[j];
      add_exactly(tile, i, segment, first + j, rest_s.subspan(j, 1), {&value, 1});
      exact.emplace_back(j, value);
    }
    round(tile, i, tap, row_t.first(tile.columns));
    for (const auto& [j, value] : exact) rest[j] = value;
  }
}

void OuterSums::add_exactly(const Tile& tile, std::size_t row, std::size_t segment,
                            std::size_t first, std::span<const double> s,
                            std::span<double> t) const {
  const auto tap = kFirstOuterTap + static_cast<std::uint32_t>(segment);
  const float a = scale_of(sums_.a, segment, tile.row + row);
  for (std::size_t j = 0; j < t.size(); ++j) {
    ExactSum<float, 3> total;
    total.add(t[j]);
    total.add_product(a, scale_of(sums_.b, segment, tile.column + first + j), s[j]);
    t[j] = total.rounded(format_, draw_of(place_of(tile, row, first + j), tap));
  }
}

void OuterSums::finish(const Tile& tile, double* t) const {
  const bool has_bias = sums_.row_bias != nullptr || sums_.column_bias != nullptr;
  for (std::size_t i = 0; i < tile.rows; ++i) {
    const std::span<double> row(t + i * tile.stride, tile.columns);
    if (has_bias) add_bias(tile, i, row);
    store(format_, row, std::span(sums_.columns).subspan(tile.column, tile.columns),
          sums_.y + sums_.rows[tile.row + i]);
  }
}

void OuterSums::add_bias(const Tile& tile, std::size_t row, std::span<double> t) const {
  std::array<double, kMostColumns> room;
  const std::span<double> biases = std::span(room).first(t.size());
  for (std::size_t j = 0; j < t.size(); ++j) {
    biases[j] = sums_.row_bias != nullptr ? sums_.row_bias[tile.row + row]
                                          : sums_.column_bias[tile.column + j];
  }
  if (takes_odd_) {
    add_to_odd(t, biases);
    return round(tile, row, kBiasTap, t);
  }
  for (std::size_t j = 0; j < t.size(); ++j) {
    ExactSum<float, 3> total;
    total.add(t[j]);
    total.add(biases[j]);
    t[j] = total.rounded(format_, draw_of(place_of(tile, row, j), kBiasTap));
  }
}

// Of numbers rounded to odd.
void OuterSums::round(const Tile& tile, std::size_t row, std::uint32_t tap,
                      std::span<double> t) const {
  std::vector<std::int64_t> indices;
  if (is_random(format_)) {
    for (std::size_t j = 0; j < t.size(); ++j) indices.push_back(place_of(tile, row, j));
  }
  round_all(format_, context_.accumulator(), tap, indices, t);
}

std::int64_t OuterSums::place_of(const Tile& tile, std::size_t row, std::size_t j) const {
  return sums_.rows[tile.row + row] + sums_.columns[tile.column + j];
}

Draw OuterSums::draw_of(std::int64_t place, std::uint32_t tap) const {
  return draw(format_, context_.accumulator(), static_cast<std::uint64_t>(place), tap);
}

}  // namespace tensorquant
