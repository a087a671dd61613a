// Rounding to posits. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_POSIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_POSIT_INL_H_
#undef TENSORQUANT_KERNELS_POSIT_INL_H_
#else
#define TENSORQUANT_KERNELS_POSIT_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/posit.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Of finite numbers, in vectors of T.
//
// A float's exponent without its bias, followed by its fraction, is the string of a posit but for
// the run, of which it has the regime as an integer: in front, above `regime_shift`. So a string is
// rounded by an addition to those bits and a mask, wherever it ends: in the fraction, in the
// exponent or, where it has no exponent bit at all, behind the run. There its last bit is the
// run's, which is 0 for the largest regime and 1 for the smallest: the parity of the one or of both
// is not the regime's where N is even, but that of the regime plus one.
template <class T>
class PositRounding {
 public:
  explicit PositRounding(const Posit& format)
      : regime_shift_(kFraction + format.exponent_bits),
        bias_(hn::Set(DI(), static_cast<I>(to_bits(T{1})))),
        parity_(hn::Set(DI(), format.bits % 2 == 0 ? I{1} << regime_shift_ : I{0})),
        lost_without_run_(hn::Set(DI(), static_cast<I>(regime_shift_ - (format.bits - 2)))),
        most_lost_(hn::Set(DI(), static_cast<I>(regime_shift_))),
        smallest_(hn::Set(D(), static_cast<T>(format.smallest()))),
        largest_(hn::Set(D(), static_cast<T>(format.largest()))) {}

  HWY_INLINE hn::Vec<hn::ScalableTag<T>> operator()(hn::Vec<hn::ScalableTag<T>> x) const {
    const D d;
    const DI di;
    const DU du;
    const auto one = hn::Set(du, 1);
    const auto magnitude = hn::Min(hn::Max(hn::Abs(x), smallest_), largest_);
    const auto bits = hn::Sub(hn::BitCast(di, magnitude), bias_);
    const auto regime = hn::ShiftRightSame(bits, regime_shift_);
    const auto run = hn::Xor(regime, hn::BroadcastSignBit(regime));  // less one
    const auto lost =
        hn::Max(hn::Min(hn::Add(run, hn::Add(lost_without_run_, hn::Set(di, I{1}))), most_lost_),
                hn::Zero(di));
    const auto string = hn::BitCast(du, hn::Add(bits, parity_));
    const auto last_bit = hn::Shl(one, hn::BitCast(du, lost));
    const auto mask = hn::Sub(last_bit, one);
    const auto is_odd = hn::Ne(hn::And(string, last_bit), hn::Zero(du));
    const auto ties_up = hn::And(mask, hn::IfThenElseZero(is_odd, one));
    const auto sum = hn::Add(hn::Add(string, hn::ShiftRight<1>(mask)), ties_up);
    const auto rounded = hn::BitCast(di, hn::AndNot(mask, sum));
    const auto y = hn::BitCast(d, hn::Add(rounded, hn::Sub(bias_, parity_)));
    return hn::IfThenElseZero(hn::Ne(x, hn::Zero(d)), hn::CopySignToAbs(y, x));
  }

 private:
  using D = hn::ScalableTag<T>;
  using DU = hn::RebindToUnsigned<D>;
  using DI = hn::RebindToSigned<D>;
  using I = hn::TFromD<DI>;
  static constexpr int kFraction = std::numeric_limits<T>::digits - 1;

  int regime_shift_;
  hn::Vec<DI> bias_, parity_;
  // Bits lost: those that float and posit together have for a run of no length, and the run.
  hn::Vec<DI> lost_without_run_;
  // The largest posit's run has no end, and nothing behind it.
  hn::Vec<DI> most_lost_;
  hn::Vec<D> smallest_, largest_;
};

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_POSIT_INL_H_
