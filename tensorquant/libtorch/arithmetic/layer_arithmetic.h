#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_LAYER_ARITHMETIC_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_LAYER_ARITHMETIC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// A loop that sums of products went through, and how many of them.
struct KernelUse {
  SumPlan plan;
  std::uint64_t calls = 0;
};
// Adds up the calls of loops with the same name and reason.
void add_uses(std::vector<KernelUse>& uses, const std::vector<KernelUse>& more);

// How one forward call of a layer rounds, or one of several operations in it.
struct LayerArithmetic {
  Arithmetic arithmetic;
  ArithmeticContext context;
  bool clips_gradient = false;    // dy = 0 where the last sum lies outside the accumulator's range
  RangeReport* report = nullptr;  // added to
  std::vector<KernelUse>* uses = nullptr;  // likewise
  std::string layer = {};                  // whose random streams the context has
  int index = 0;                           // of the operation

  // For operation `index` of a call that has several: each has random numbers of its own.
  LayerArithmetic operation(int index) const;
  // For a part of this operation, likewise.
  LayerArithmetic part(const std::string& name) const;
};

// How torch::nn's class Impl computes with rounded arithmetic. Specialise it with a static function
// call(Impl&, const LayerArithmetic&, arguments of forward()...) that returns what forward()
// returns. A class without one is refused by apply() where an intrinsic map hits it; so is a layer
// for which a static function covers(const Impl&), if there is one, returns false. It is for that
// very class: one derived from it may compute something else.
template <class Impl>
struct RoundedForward {};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_LAYER_ARITHMETIC_H_
