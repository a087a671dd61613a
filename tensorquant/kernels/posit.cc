#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/posit.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <limits>

#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// A float's exponent without its bias, followed by its fraction, is the string of a posit but for
// the run, of which it has the regime as an integer: in front, above `regime_shift`. So a string is
// rounded by an addition to those bits and a mask, wherever it ends: in the fraction, in the
// exponent or, where it has no exponent bit at all, behind the run. There its last bit is the
// run's, which is 0 for the largest regime and 1 for the smallest: the parity of the one or of both
// is not the regime's where N is even, but that of the regime plus one.
template <class T>
void RunFormat(const Posit& format, const Part<T>& part) {
  using Limits = std::numeric_limits<T>;
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::RebindToSigned<decltype(d)> di;
  using I = hn::TFromD<decltype(di)>;
  constexpr int kFraction = Limits::digits - 1;
  const int regime_shift = kFraction + format.exponent_bits;
  const auto bias = hn::Set(di, static_cast<I>(to_bits(T{1})));
  const auto parity = hn::Set(di, format.bits % 2 == 0 ? I{1} << regime_shift : I{0});
  // Bits lost: those that float and posit together have for a run of no length, and the run.
  const auto lost_without_run = hn::Set(di, static_cast<I>(regime_shift - (format.bits - 2)));
  // The largest posit's run has no end, and nothing behind it.
  const auto most_lost = hn::Set(di, static_cast<I>(regime_shift));
  const auto smallest = hn::Set(d, static_cast<T>(format.smallest()));
  const auto largest = hn::Set(d, static_cast<T>(format.largest()));
  const auto one = hn::Set(du, 1);
  const auto infinity_result = [=](auto dt, auto y, auto x) HWY_ATTR {
    return hn::IfThenElse(hn::IsInf(x), hn::Set(dt, Limits::quiet_NaN()), y);
  };
  using Special = SpecialInfinities<decltype(infinity_result)>;
  ForEachVector(part, Special{infinity_result}, [=](auto x) HWY_ATTR {
    const auto magnitude = hn::Min(hn::Max(hn::Abs(x), smallest), largest);
    const auto bits = hn::Sub(hn::BitCast(di, magnitude), bias);
    const auto regime = hn::ShiftRightSame(bits, regime_shift);
    const auto run = hn::Xor(regime, hn::BroadcastSignBit(regime));  // less one
    const auto lost =
        hn::Max(hn::Min(hn::Add(run, hn::Add(lost_without_run, hn::Set(di, I{1}))), most_lost),
                hn::Zero(di));
    const auto string = hn::BitCast(du, hn::Add(bits, parity));
    const auto last_bit = hn::Shl(one, hn::BitCast(du, lost));
    const auto mask = hn::Sub(last_bit, one);
    const auto is_odd = hn::Ne(hn::And(string, last_bit), hn::Zero(du));
    const auto ties_up = hn::And(mask, hn::IfThenElseZero(is_odd, one));
    const auto sum = hn::Add(hn::Add(string, hn::ShiftRight<1>(mask)), ties_up);
    const auto rounded = hn::BitCast(di, hn::AndNot(mask, sum));
    const auto y = hn::BitCast(d, hn::Add(rounded, hn::Sub(bias, parity)));
    return hn::IfThenElseZero(hn::Ne(x, hn::Zero(d)), hn::CopySignToAbs(y, x));
  });
}

void Posit32(const Posit& format, const Part<float>& part) { RunFormat(format, part); }
void Posit64(const Posit& format, const Part<double>& part) { RunFormat(format, part); }

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(Posit32);
HWY_EXPORT(Posit64);

void quantize_part(const Posit& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(Posit32)(format, part);
}

void quantize_part(const Posit& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(Posit64)(format, part);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
