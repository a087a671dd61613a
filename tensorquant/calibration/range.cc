#include "tensorquant/calibration/range.h"

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr int kFinest = 64, kCoarsest = -64;

bool covers(int bits, int fraction, const ValueRange& range) {
  const double limit = std::ldexp(1.0, bits - 1);
  return std::round(std::ldexp(range.low, fraction)) >= -limit &&
         std::round(std::ldexp(range.high, fraction)) <= limit - 1;
}

}  // namespace

void ValueRange::include(double least, double greatest, const std::string& what) {
  if (!std::isfinite(least) || !std::isfinite(greatest)) {
    throw Error(what + " has values that are not finite: no fixed-point format covers them");
  }
  low = std::min(low, least);
  high = std::max(high, greatest);
}

int fraction_for(int bits, const ValueRange& range) {
  if (range.empty() || (range.low == 0 && range.high == 0)) return bits - 1;
  int fraction = kFinest;
  while (fraction > kCoarsest && !covers(bits, fraction, range)) --fraction;
  return fraction;
}

std::shared_ptr<const Quantizer> finest_fixed_point(int bits, const ValueRange& range) {
  if (range.empty()) return nullptr;
  return make_quantizer("nearest," + std::to_string(bits) + "," +
                        std::to_string(fraction_for(bits, range)));
}

}  // namespace tensorquant
