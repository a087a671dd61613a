#ifndef TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_STEPS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_STEPS_H_

namespace tensorquant {

// What becomes of a product before it is added. The machine's own rounding is that to binary32.
enum class MinifloatProducts { exact, machine, rounded };

// What becomes of each sum. `small` ones may be rounded below the format's normal numbers too, and
// to zeros with signs; so may `odd` ones, which the lanes, of float64, round to odd first.
enum class MinifloatSums { machine, rounded, small, odd };

// Of a format: nothing goes beyond them, they are limits, or beyond them infinities stand, or
// something else.
enum class MinifloatEnds { open, clamp, infinite, replace };

struct MinifloatConstants {
  int bits = 0;              // of a significand that are stored
  int exponent = 0;          // the least one of normal numbers
  int highest_exponent = 0;  // of finite numbers
  double highest = 0;
  double beyond = 0;  // what larger numbers become, where ends replace them
};

// The steps of SumKernel::minifloat.
struct MinifloatSteps {
  bool in_double = false;  // lanes of float64
  MinifloatProducts products = MinifloatProducts::rounded;
  MinifloatSums sums = MinifloatSums::small;
  bool are_odd_small = false;  // sums that are rounded to odd may lie below the normal numbers
  MinifloatEnds product_ends = MinifloatEnds::open;
  MinifloatEnds sum_ends = MinifloatEnds::open;
  bool to_zero = false;  // in float32, where the machine rounds so
  MinifloatConstants product, sum;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_STEPS_H_
