#include "tensorquant/arithmetic/sums/outer_sums.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <type_traits>
#include <utility>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/sums/float_store.h"
#include "tensorquant/base/bits.h"

namespace tensorquant {
namespace {

constexpr std::size_t kMostColumns = 1024;  // of a tile

}  // namespace

Exponents exponents_of(std::span<const float> numbers) {
  Exponents all = {std::numeric_limits<int>::max(), std::numeric_limits<int>::min(), true};
  for (const float x : numbers) {
    const std::uint32_t bits = to_bits(x), field = bits >> 23, stored = bits & 0x7FFFFF;
    if (bits == 0) continue;
    const bool is_normal = field > 0 && field < 0xFF && stored == 0;
    const bool is_subnormal = field == 0 && std::has_single_bit(stored);
    const int exponent =
        is_normal ? static_cast<int>(field) - 127 : static_cast<int>(std::bit_width(stored)) - 150;
    all.lowest = std::min(all.lowest, exponent);
    all.highest = std::max(all.highest, exponent);
    all.are_powers = all.are_powers && (is_normal || is_subnormal);
  }
  return all.lowest > all.highest ? Exponents{0, 0, true} : all;
}

OuterSums::OuterSums(const Arithmetic& arithmetic, const ArithmeticContext& context,
                     const SumsOfProducts<float>& sums, std::vector<std::size_t> ends)
    : format_(arithmetic.last_accumulator()),
      is_float32_(is_float32(format_)),
      takes_odd_(takes_odd(format_)),
      context_(context),
      sums_(sums),
      ends_(std::move(ends)) {
  for (std::size_t segment = 0; segment < ends_.size(); ++segment) {
    for (std::size_t i = 0; i < sums.rows.size(); ++i) {
      row_scales_.push_back(scale_of(sums.a, segment, i));
      row_exponents_.push_back(exponents_of(std::span(&row_scales_.back(), 1)));
    }
  }
}

float OuterSums::scale_of(const Factor<float>& factor, std::size_t segment,
                          std::size_t line) const {
  if (!factor.scales) return 1;
  const Scales<float>& s = *factor.scales;
  return s.data[static_cast<std::size_t>(s.lines[line] + s.taps[first_tap(segment)])];
}

ColumnScales OuterSums::column_scales(std::size_t segment, std::size_t first,
                                      std::span<float> room) const {
  const std::size_t last = sums_.columns.size() - 1;
  for (std::size_t j = 0; j < room.size(); ++j) {
    room[j] = scale_of(sums_.b, segment, std::min(first + j, last));
  }
  return {room, exponents_of(room)};
}

template <class T>
void OuterSums::add(const Tile& tile, std::size_t segment, const ColumnScales& scales,
                    const double* s, T* t) const {
  for (std::size_t i = 0; i < tile.rows; ++i, s += tile.stride, t += tile.stride) {
    const std::size_t row = tile.row + i;
    std::size_t done = 0;
    if constexpr (std::is_same_v<T, float>) {
      const Exponents& exponents = row_exponents_[segment * sums_.rows.size() + row];
      const bool in_float32 = sums_in_float32_ && multiply_exactly(exponents, scales.exponents);
      const std::span<float> values(t, scales.values.size());
      done = in_float32
                 ? add_scaled_floats(row_scale(segment, row), scales.values.data(), s, values)
                 : add_scaled(row_scale(segment, row), scales.values.data(), s, values);
    }
    if (done >= tile.columns) continue;
    const std::size_t count = tile.columns - done;
    const auto rest = [&](std::span<double> values) {
      add_in_double({row, tile.column + done}, segment, scales.values.subspan(done, count),
                    std::span(s + done, count), values);
    };
    if constexpr (std::is_same_v<T, float>) {
      std::array<double, kMostColumns> room;
      std::copy(t + done, t + tile.columns, room.begin());
      rest(std::span(room).first(count));
      store_as_float(format_, std::span(room).first(count), t + done);
    } else {
      rest(std::span(t + done, count));
    }
  }
}

void OuterSums::add_in_double(const Place& place, std::size_t segment,
                              std::span<const float> column_scales, std::span<const double> s,
                              std::span<double> t) const {
  const auto at = [&](std::size_t j) { return Place{place.row, place.column + j}; };
  if (!takes_odd_) {
    for (std::size_t j = 0; j < t.size(); ++j) t[j] = added_exactly(at(j), segment, s[j], t[j]);
    return;
  }
  std::array<double, kMostColumns> room;
  const std::span<double> scales = std::span(room).first(t.size());
  const double a = row_scale(segment, place.row);
  for (std::size_t j = 0; j < t.size(); ++j) scales[j] = a * static_cast<double>(column_scales[j]);
  std::vector<std::pair<std::size_t, double>> exact;
  for (std::size_t j = 0; j < t.size(); ++j) {
    j += add_products_to_odd(t.subspan(j), scales.subspan(j), s.subspan(j));
    if (j == t.size()) break;
    exact.emplace_back(j, added_exactly(at(j), segment, s[j], t[j]));
  }
  round(place, kFirstOuterTap + static_cast<std::uint32_t>(segment), t);
  for (const auto& [j, value] : exact) t[j] = value;
}

double OuterSums::added_exactly(const Place& place, std::size_t segment, double s, double t) const {
  ExactSum<float, 3> total;
  total.add(t);
  total.add_product(row_scale(segment, place.row), scale_of(sums_.b, segment, place.column), s);
  return total.rounded(format_,
                       draw_of(place, kFirstOuterTap + static_cast<std::uint32_t>(segment)));
}

template <class T>
void OuterSums::finish(const Tile& tile, T* t) const {
  const bool has_bias = sums_.has_bias();
  const FloatStore store(format_, std::span(sums_.columns).subspan(tile.column, tile.columns));
  std::array<double, kMostColumns> room;
  for (std::size_t i = 0; i < tile.rows; ++i, t += tile.stride) {
    float* const to = sums_.y + sums_.rows[tile.row + i];
    if constexpr (std::is_same_v<T, float>) {
      if (!has_bias) {
        store.row(std::span<const float>(t, tile.columns), to);
        continue;
      }
    }
    const std::span<double> row = std::span(room).first(tile.columns);
    std::copy(t, t + tile.columns, row.begin());
    if (has_bias) add_bias({tile.row + i, tile.column}, row);
    store.row(std::span<const double>(row), to);
  }
}

void OuterSums::add_bias(const Place& place, std::span<double> t) const {
  std::array<double, kMostColumns> room;
  const std::span<double> biases = std::span(room).first(t.size());
  for (std::size_t j = 0; j < t.size(); ++j) biases[j] = *sums_.bias(place.row, place.column + j);
  if (takes_odd_) {
    add_to_odd(t, biases);
    return round(place, kBiasTap, t);
  }
  for (std::size_t j = 0; j < t.size(); ++j) {
    ExactSum<float, 3> total;
    total.add(t[j]);
    total.add(biases[j]);
    t[j] = total.rounded(format_, draw_of({place.row, place.column + j}, kBiasTap));
  }
}

// Of numbers rounded to odd.
void OuterSums::round(const Place& place, std::uint32_t tap, std::span<double> t) const {
  std::vector<std::int64_t> indices;
  if (is_random(format_)) {
    for (std::size_t j = 0; j < t.size(); ++j) {
      indices.push_back(index_of({place.row, place.column + j}));
    }
  }
  round_all(format_, context_.accumulator(), tap, indices, t);
}

std::int64_t OuterSums::index_of(const Place& place) const {
  return sums_.rows[place.row] + sums_.columns[place.column];
}

Draw OuterSums::draw_of(const Place& place, std::uint32_t tap) const {
  return draw(format_, context_.accumulator(), static_cast<std::uint64_t>(index_of(place)), tap);
}

template void OuterSums::add(const Tile&, std::size_t, const ColumnScales&, const double*,
                             float*) const;
template void OuterSums::add(const Tile&, std::size_t, const ColumnScales&, const double*,
                             double*) const;
template void OuterSums::finish(const Tile&, float*) const;
template void OuterSums::finish(const Tile&, double*) const;

}  // namespace tensorquant
