#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/table.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/cells-inl.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// A number of T is above a border just where it is above the number of T below that.
template <class T>
auto BordersOf(const NormalFloat4& format) {
  std::array<T, NormalFloat4::kValues.size() - 1> borders;
  for (std::size_t i = 0; i < borders.size(); ++i) borders[i] = round_down_to<T>(format.border(i));
  return borders;
}

// Equal steps of [-1, 1], which are short enough for one border each.
void RunCells(const NormalFloat4& format, const Part<float>& part) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  constexpr float kHalf = Cells::kCount / 2;
  const auto cell_of = [=](auto x) HWY_ATTR {
    const auto place = hn::Add(hn::Mul(x, hn::Set(d, kHalf)), hn::Set(d, kHalf));
    const auto last = hn::Set(d, 2 * kHalf - 1);
    return hn::ConvertTo(di, hn::Max(hn::Min(place, last), hn::Zero(d)));
  };
  static const Cells cells = MakeCells(format.kValues, BordersOf<float>(format), cell_of);
  ForEachVector<true>(part, KeepsNan(), [=, &all = cells](auto x) HWY_ATTR {
    return ResultOfCell(all, cell_of(x), x);
  });
}

template <class T>
void RunFormat(const NormalFloat4& format, const Part<T>& part) {
  if constexpr (kHasCells<T>) return RunCells(format, part);
  const hn::ScalableTag<T> d;
  const auto borders = BordersOf<T>(format);
  constexpr std::size_t kBorders = borders.size();
  ForEachVector(part, KeepsNan(), [=](auto x) HWY_ATTR {
    auto y = hn::Set(d, T{format.kValues[0]});
    for (std::size_t i = 0; i < kBorders; ++i) {
      const auto is_above = hn::Gt(x, hn::Set(d, borders[i]));
      y = hn::IfThenElse(is_above, hn::Set(d, T{format.kValues[i + 1]}), y);
    }
    return y;
  });
}

// All borders are multiples of one unit, so that what a magnitude becomes is a function of how many
// units reach it: a table for each number of terms.
template <class T>
const std::vector<T>& ResultsOfUnits(int terms) {
  static const std::array<std::vector<T>, 3> all = [] {
    std::array<std::vector<T>, 3> results;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const AdditivePowers format{.bits = 2 * static_cast<int>(i + 1), .is_unsigned = true};
      const T units = std::ldexp(T{1}, format.last_place() + 1);
      for (T unit = 0; unit <= bounds<T>(format).highest * units; ++unit) {
        results[i].push_back(quantize_reference(format, unit / units));
      }
    }
    return results;
  }();
  return all[static_cast<std::size_t>(terms - 1)];
}

// Up to 15 borders. In units of the smallest value they are one apart, and from 24 on two.
void RunCells(const AdditivePowers& format, const Part<float>& part) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const auto unit = hn::Set(d, std::ldexp(1.0F, format.last_place()));
  const auto half = hn::Set(d, 0.5F), bend = hn::Set(d, 12.0F),
             last = hn::Set(d, Cells::kCount - 1.0F);
  const auto cell_of = [=](auto magnitude) HWY_ATTR {
    const auto units = hn::Mul(magnitude, unit);
    const auto place = hn::Min(units, hn::Add(hn::Mul(units, half), bend));
    return hn::ConvertTo(di, hn::Min(place, last));
  };
  std::vector<float> values, borders;
  for (const double value : format.magnitudes()) {
    const auto rounded = static_cast<float>(value);  // exact, as the middles are
    if (!values.empty()) borders.push_back((values.back() + rounded) / 2);
    values.push_back(rounded);
  }
  const Cells cells = MakeCells(values, borders, cell_of);
  const float infinity = std::numeric_limits<float>::infinity();
  const auto lowest = hn::Set(d, format.is_unsigned ? 0.0F : -infinity);
  ForEachVector(part, KeepsNan(), [=](auto number) HWY_ATTR {
    const auto x = hn::Max(number, lowest);
    const auto magnitude = hn::Abs(x);
    const auto result = ResultOfCell(cells, cell_of(magnitude), magnitude);
    return hn::Add(hn::CopySignToAbs(result, x), hn::Zero(d));  // -0 + 0 = +0
  });
}

template <class T>
void RunFormat(const AdditivePowers& format, const Part<T>& part) {
  if constexpr (kHasCells<T>) {
    if (format.terms() <= 2) return RunCells(format, part);
  }
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  const T units = std::ldexp(T{1}, format.last_place() + 1);
  const Bounds<T> ends = bounds<T>(format);
  const T* table = ResultsOfUnits<T>(format.terms()).data();
  const auto scale = hn::Set(d, units);
  const auto last = hn::Set(d, ends.highest * units);
  const auto lowest = hn::Set(d, format.is_unsigned ? T{0} : -std::numeric_limits<T>::infinity());
  ForEachVector(part, KeepsNan(), [=](auto number) HWY_ATTR {
    const auto x = hn::Max(number, lowest);
    const auto t = hn::Mul(hn::Abs(x), scale);
    const auto in_range = hn::IfThenElse(hn::Lt(t, last), t, last);  // NaN, too
    const auto magnitude = hn::GatherIndex(d, table, hn::ConvertTo(di, hn::Ceil(in_range)));
    return hn::Add(hn::CopySignToAbs(magnitude, x), hn::Zero(d));  // -0 + 0 = +0
  });
}

void NormalFloat32(const NormalFloat4& format, const Part<float>& part) { RunFormat(format, part); }
void NormalFloat64(const NormalFloat4& format, const Part<double>& part) {
  RunFormat(format, part);
}
void AdditivePowers32(const AdditivePowers& format, const Part<float>& part) {
  RunFormat(format, part);
}
void AdditivePowers64(const AdditivePowers& format, const Part<double>& part) {
  RunFormat(format, part);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(NormalFloat32);
HWY_EXPORT(NormalFloat64);
HWY_EXPORT(AdditivePowers32);
HWY_EXPORT(AdditivePowers64);

void quantize_part(const NormalFloat4& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(NormalFloat32)(format, part);
}
void quantize_part(const NormalFloat4& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(NormalFloat64)(format, part);
}

void quantize_part(const AdditivePowers& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(AdditivePowers32)(format, part);
}
void quantize_part(const AdditivePowers& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(AdditivePowers64)(format, part);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
