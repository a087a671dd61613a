#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/logarithmic.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// `has_zone`: there are magnitudes of T, not zero, below the format's smallest power.
template <bool has_zone, class T>
void RunFormat(const Logarithmic& format, const Part<T>& part) {
  using Limits = std::numeric_limits<T>;
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const bool is_nearest = format.rounding == Rounding::nearest;
  const T lowest_power = static_cast<T>(std::ldexp(1.0, min_exponent<T>(format)));
  const T highest_power = static_cast<T>(std::ldexp(1.0, max_exponent<T>(format)));
  const auto lowest = hn::Set(d, lowest_power);
  // Magnitudes below this give zero. Half of the smallest subnormal is no value of T; the next one
  // is.
  const int first_exponent = min_exponent<T>(format) - (is_nearest ? 1 : 0);
  const auto first =
      hn::Set(d, static_cast<T>(std::ldexp(1.0, std::max(first_exponent, kMinExponent<T>))));
  const auto exponent_field = hn::Set(du, to_bits(Limits::infinity()));
  // Half of the last place of the exponent field: it carries where the significand is 1.5 or more.
  const auto half = hn::Set(du, is_nearest ? to_bits(T{1.5}) - to_bits(T{1}) : 0);
  const auto power_of = [=](auto magnitude) HWY_ATTR {
    return hn::BitCast(d, hn::And(hn::Add(hn::BitCast(du, magnitude), half), exponent_field));
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
  ForEachVector(part, SpecialBeyond<T, decltype(large)>{limit, large}, [&](auto x) HWY_ATTR {
    const auto magnitude = hn::Abs(x);
    auto power = hn::Mul(power_of(hn::Mul(magnitude, up)), down);
    if constexpr (has_zone) {
      power = hn::IfThenElseZero(hn::Ge(magnitude, first), hn::Max(power, lowest));
    }
    return hn::CopySignToAbs(power, x);
  });
}

template <class T>
void RunFormat(const Logarithmic& format, const Part<T>& part) {
  min_exponent<T>(format) > kMinExponent<T> ? RunFormat<true>(format, part)
                                            : RunFormat<false>(format, part);
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
