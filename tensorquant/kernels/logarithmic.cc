#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/logarithmic.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensorquant/kernels/cells-inl.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/octave.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// `has_zone`: there are magnitudes of T, not zero, below the format's smallest power.
template <bool has_zone, class T>
void RunPowers(const Logarithmic& format, const Part<T>& part) {
  using Limits = std::numeric_limits<T>;
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const T lowest_power = static_cast<T>(std::ldexp(1.0, min_exponent<T>(format)));
  const T highest_power = static_cast<T>(std::ldexp(1.0, max_exponent<T>(format)));
  const auto lowest = hn::Set(d, lowest_power);
  const auto first = hn::Set(d, smallest_kept<T>(format));
  const auto exponent_field = hn::Set(du, to_bits(Limits::infinity()));
  // It carries into the exponent field from the border on.
  const auto rise = hn::Set(du, to_bits(T{2}) - to_bits(number_from<T>(border(format, 0), 0)));
  const auto power_of = [=](auto magnitude) HWY_ATTR {
    return hn::BitCast(d, hn::And(hn::Add(hn::BitCast(du, magnitude), rise), exponent_field));
  };
  // Subnormals have no exponent field of their own; scaled up, they do. So all are scaled, but for
  // those that have no room.
  constexpr int kRise = Limits::digits;
  const auto up = hn::Set(d, std::ldexp(T{1}, kRise));
  const auto down = hn::Set(d, std::ldexp(T{1}, -kRise));
  const T limit = std::min(std::ldexp(T{1}, kMaxExponent<T> - kRise - 1), highest_power);
  const auto large = [=](auto, auto y, auto x) HWY_ATTR {
    const auto magnitude = hn::Abs(x);
    // The result is between two powers of the format, subnormal ones perhaps, or zero.
    const auto least = hn::Set(d, std::max(limit, lowest_power));
    const auto clamped = hn::Min(hn::Max(power_of(magnitude), least), hn::Set(d, highest_power));
    const auto power = hn::IfThenElseZero(hn::Ge(magnitude, first), clamped);
    return hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, limit)), hn::CopySign(power, x), y);
  };
  ForEachVector(part, SpecialBeyond<T, decltype(large)>{limit, large}, [=](auto x) HWY_ATTR {
    const auto magnitude = hn::Abs(x);
    auto power = hn::Mul(power_of(hn::Mul(magnitude, up)), down);
    if constexpr (has_zone) {
      power = hn::IfThenElseZero(hn::Ge(magnitude, first), hn::Max(power, lowest));
    }
    return hn::CopySignToAbs(power, x);
  });
}

// Subnormal numbers, which are too rare to be fast.
template <class T>
struct SpecialSubnormals {
  template <class D, class V>
  HWY_INLINE bool occurs(D, V x0, V x1, V x2, V x3) const {
    const hn::RebindToUnsigned<D> du;
    const auto one = hn::Set(du, 1);
    const auto bits = [&](V x) HWY_ATTR { return hn::BitCast(du, hn::Abs(x)); };
    const auto below = [&](V x) HWY_ATTR { return hn::Sub(bits(x), one); };  // zero is far above
    const auto largest = hn::Max(hn::Max(bits(x0), bits(x1)), hn::Max(bits(x2), bits(x3)));
    const auto smallest = hn::Min(hn::Min(below(x0), below(x1)), hn::Min(below(x2), below(x3)));
    const auto infinity = hn::Set(du, to_bits(std::numeric_limits<T>::infinity()));
    const auto last = hn::Set(du, to_bits(std::numeric_limits<T>::min()) - 1);
    return !hn::AllFalse(du, hn::Or(hn::Gt(largest, infinity), hn::Lt(smallest, last)));
  }
  template <class D, class V>
  HWY_INLINE V result(D d, V y, V x) const {
    HWY_ALIGN T numbers[HWY_MAX_BYTES / sizeof(T)], results[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(x, d, numbers);
    hn::Store(y, d, results);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
      if (std::fpclassify(numbers[i]) == FP_SUBNORMAL) {
        results[i] = quantize_reference(format, numbers[i]);
      }
    }
    return hn::Load(d, results);
  }
  Logarithmic format;
};

// The exponent stays, or is raised by the result of the significand, which is 1 to 2:
// result_of(stored bits of the significand, its cell).
template <class T, class ResultOf>
void RunSteps(const Logarithmic& format, const Part<T>& part, const ResultOf& result_of) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  using I = hn::TFromD<decltype(di)>;
  constexpr int kStoredBits = std::numeric_limits<T>::digits - 1;
  const int cell_shift = kStoredBits - octave_of<T>(format).cell_bits;
  const auto stored = hn::Set(di, (I{1} << kStoredBits) - 1);
  const auto lowest = hn::Set(d, static_cast<T>(std::ldexp(1.0, min_exponent<T>(format))));
  const auto highest = hn::Set(d, static_cast<T>(std::ldexp(1.0, max_exponent<T>(format))));
  const auto first = hn::Set(d, smallest_kept<T>(format));
  ForEachVector(part, SpecialSubnormals<T>{format}, [=](auto x) HWY_ATTR {
    const auto magnitude = hn::Abs(x);
    const auto bits = hn::BitCast(di, magnitude);
    const auto significand = hn::And(bits, stored);
    const auto result = result_of(significand, hn::ShiftRightSame(significand, cell_shift));
    const auto raised = hn::BitCast(d, hn::Add(hn::AndNot(stored, bits), result));
    const auto in_range = hn::Max(hn::Min(raised, highest), lowest);
    const auto y = hn::IfThenElseZero(hn::Ge(magnitude, first), in_range);
    return hn::CopySignToAbs(y, x);
  });
}

// Of few cells: their numbers, which are integers, in registers.
void RunCells(const Logarithmic& format, const Part<float>& part) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const Octave<float>& octave = octave_of<float>(format);
  Cells cells = {};
  for (std::size_t cell = 0; cell < octave.borders.size(); ++cell) {
    const auto number = [](std::int32_t bits) {
      return from_bits<float>(static_cast<std::uint32_t>(bits));
    };
    cells.borders[cell] = number(octave.borders[cell]);
    cells.below[cell] = number(octave.results[2 * cell]);
    cells.above[cell] = number(octave.results[2 * cell + 1]);
  }
  RunSteps(format, part, [&](auto significand, auto cell) HWY_ATTR {
    const auto table = [&](const float* values)
                           HWY_ATTR { return hn::BitCast(di, LookUp(values, cell)); };
    const auto is_below = hn::Lt(significand, table(cells.borders));
    return hn::IfThenElse(is_below, table(cells.below), table(cells.above));
  });
}

template <class T>
void RunGathered(const Logarithmic& format, const Part<T>& part) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  using I = hn::TFromD<decltype(di)>;
  const Octave<T>& octave = octave_of<T>(format);
  const I* borders = octave.borders.data();
  const I* results = octave.results.data();
  RunSteps(format, part, [=](auto significand, auto cell) HWY_ATTR {
    const auto is_below = hn::Lt(significand, hn::GatherIndex(di, borders, cell));
    const auto second = hn::IfThenZeroElse(is_below, hn::Set(di, I{1}));
    return hn::GatherIndex(di, results, hn::Add(hn::Add(cell, cell), second));
  });
}

template <class T>
void RunFormat(const Logarithmic& format, const Part<T>& part) {
  if (format.fraction > 0) {
    if constexpr (kHasCells<T>) {
      if (octave_of<T>(format).borders.size() <= Cells::kCount) return RunCells(format, part);
    }
    return RunGathered(format, part);
  }
  min_exponent<T>(format) > kMinExponent<T> ? RunPowers<true>(format, part)
                                            : RunPowers<false>(format, part);
}

void Logarithmic32(const Logarithmic& format, const Part<float>& part) { RunFormat(format, part); }
void Logarithmic64(const Logarithmic& format, const Part<double>& part) { RunFormat(format, part); }

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(Logarithmic32);
HWY_EXPORT(Logarithmic64);

void quantize_part(const Logarithmic& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(Logarithmic32)(format, part);
}
void quantize_part(const Logarithmic& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(Logarithmic64)(format, part);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
