#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/p3109.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"
#include "tensorquant/kernels/random-inl.h"
#include "tensorquant/kernels/rounding-inl.h"
#include "tensorquant/kernels/scaled_rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// What comes out of a number: its rounding `quantize`, and what is not in the format's range.
template <class T>
struct P3109Rounding {
  explicit P3109Rounding(const P3109& format)
      : format(format),
        quantize(format.largest(), format.min_exponent(), format.precision - 1),
        limits(bounds<T>(format)),
        too_large(static_cast<T>(format.overflow_value(false))),
        too_low(static_cast<T>(format.is_unsigned ? format.negative_value()
                                                  : format.overflow_value(true))),
        infinite(static_cast<T>(format.infinity_value())),
        minus_infinite(static_cast<T>(format.is_unsigned ? format.negative_value()
                                                         : 0 - format.infinity_value())),
        far(static_cast<T>(std::min<double>(4 * std::max(format.largest(), format.value(1)),
                                            std::numeric_limits<T>::max()))),
        even_power(to_bits(std::ldexp(T{1}, format.min_exponent() + 1)) & last_exponent_bit) {}

  // An integer next to t = x / step: round() with the code's last bit in place of the
  // significand's.
  template <class D, class V, class Round>
  HWY_INLINE V ToInteger(D d, V x, V t, const Round& round) const {
    if (format.precision > 1) return round(d, t);
    // There t is 0 to 1 below the normal values, whose first code is odd as 1 is, else 1 to 2.
    const hn::RebindToUnsigned<D> du;
    const auto power = hn::And(hn::BitCast(du, x), hn::Set(du, last_exponent_bit));
    const auto has_even_code = hn::RebindMask(d, hn::Eq(power, hn::Set(du, even_power)));
    const V one = hn::Set(d, T{1});
    const auto one_is_even = hn::And(has_even_code, hn::Ge(hn::Abs(t), one));
    const V even = hn::IfThenElseZero(one_is_even, hn::CopySign(one, t));
    return hn::Add(round(d, hn::Sub(t, even)), even);
  }

  template <class D, class V, class Round>
  HWY_INLINE V operator()(D d, V number, const Round& round) const {
    // Farther numbers overflow all the same.
    const V x = hn::Max(hn::Min(number, hn::Set(d, far)), hn::Set(d, -far));
    const V y =
        quantize(d, x, [&](auto dt, auto t) HWY_ATTR { return ToInteger(dt, x, t, round); });
    const V in_range = hn::IfThenElse(hn::Gt(y, hn::Set(d, limits.highest)), hn::Set(d, too_large),
                                      hn::Add(y, hn::Zero(d)));
    return hn::IfThenElse(hn::Lt(y, hn::Set(d, limits.lowest)), hn::Set(d, too_low), in_range);
  }

  static constexpr BitsOf<T> last_exponent_bit = BitsOf<T>{1} << kStoredBits<T>;

  P3109 format;
  ScaledRounding<false, T> quantize;
  Bounds<T> limits;
  T too_large, too_low, infinite, minus_infinite, far;
  BitsOf<T> even_power;
};

template <class T>
void RunRounding(const P3109& format, const RandomStream& random, const Part<T>& part) {
  const P3109Rounding<T> quantize(format);
  const auto infinity_result = [&](auto d, auto y, auto x) HWY_ATTR {
    const auto is_negative = hn::Lt(x, hn::Zero(d));
    const auto infinite = hn::IfThenElse(is_negative, hn::Set(d, quantize.minus_infinite),
                                         hn::Set(d, quantize.infinite));
    return hn::IfThenElse(hn::IsInf(x), infinite, y);
  };
  const SpecialInfinities<decltype(infinity_result)> special{infinity_result};
  if (!is_random(format)) {
    const hn::ScalableTag<T> d;
    return ForEachVector(part, special, [=](auto x) HWY_ATTR {
      return quantize(d, x, [&](auto dt, auto t) HWY_ATTR {
        return RoundVectorRarely(dt, t, format.rounding);
      });
    });
  }
  const UniformDraw<T> draw(format.random_bits);
  WithDraws<T>(format.random_bits, format.precision, [&](auto halves, auto draws) HWY_ATTR {
    ForEachRandomVector<halves>(part, random, special, [&](auto d, auto x, auto words) HWY_ATTR {
      return quantize(d, x, [&](auto dt, auto t) HWY_ATTR {
        return RoundVectorAtRandom<draws>(dt, t, draw, words);
      });
    });
  });
}

template <class T>
void RunFormat(const P3109& format, const RandomStream& random, const Part<T>& part) {
  if (format.last_bit() < 1 - kMaxExponent<T>) return RunReference(format, random, part);
  RunRounding(format, random, part);
}

void P3109Float32(const P3109& format, const RandomStream& random, const Part<float>& part) {
  RunFormat(format, random, part);
}
void P3109Float64(const P3109& format, const RandomStream& random, const Part<double>& part) {
  RunFormat(format, random, part);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(P3109Float32);
HWY_EXPORT(P3109Float64);

void quantize_part(const P3109& format, const RandomStream& random, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(P3109Float32)(format, random, part);
}

void quantize_part(const P3109& format, const RandomStream& random, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(P3109Float64)(format, random, part);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
