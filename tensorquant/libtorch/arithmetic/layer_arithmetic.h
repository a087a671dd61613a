#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_LAYER_ARITHMETIC_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_LAYER_ARITHMETIC_H_

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant {

// How one forward call of a layer rounds.
struct LayerArithmetic {
  Arithmetic arithmetic;
  ArithmeticContext context;
  bool clips_gradient = false;    // dy = 0 where the last sum lies outside the accumulator's range
  RangeReport* report = nullptr;  // added to
};

// How torch::nn's class Impl computes with rounded arithmetic. Specialise it with a static function
// call(Impl&, const LayerArithmetic&, arguments of forward()...) that returns what forward()
// returns. A class without one is refused by apply() where an intrinsic map hits it. It is for that
// very class: one derived from it may compute something else.
template <class Impl>
struct RoundedForward {};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_LAYER_ARITHMETIC_H_
