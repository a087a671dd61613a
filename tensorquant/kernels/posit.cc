#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/posit.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <limits>

#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"
#include "tensorquant/kernels/posit-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

template <class T>
void RunFormat(const Posit& format, const Part<T>& part) {
  const auto infinity_result = [](auto dt, auto y, auto x) HWY_ATTR {
    return hn::IfThenElse(hn::IsInf(x), hn::Set(dt, std::numeric_limits<T>::quiet_NaN()), y);
  };
  using Special = SpecialInfinities<decltype(infinity_result)>;
  const PositRounding<T> rounding(format);
  ForEachVector(part, Special{infinity_result}, [=](auto x) HWY_ATTR { return rounding(x); });
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
