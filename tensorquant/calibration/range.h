#ifndef TENSORQUANT_CALIBRATION_RANGE_H_
#define TENSORQUANT_CALIBRATION_RANGE_H_

#include <limits>
#include <memory>
#include <string>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The least and the greatest value seen; low > high: none.
struct ValueRange {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  bool empty() const { return low > high; }
  // Values between these two. Throws an Error that names `what` where one of them is not finite.
  void include(double least, double greatest, const std::string& what);
};

// The largest F in [-64, 64] with which nearest,bits,F saturates at no value of the range: the
// finest grid that covers it. bits - 1 for a range without any value but 0.
int fraction_for(int bits, const ValueRange& range);

// nearest,bits,F with that F; null for an empty range.
std::shared_ptr<const Quantizer> finest_fixed_point(int bits, const ValueRange& range);

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_RANGE_H_
