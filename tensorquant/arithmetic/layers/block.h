#ifndef TENSORQUANT_ARITHMETIC_LAYERS_BLOCK_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_BLOCK_H_

// What layers without sums over taps have in common: y = A(P(x * factor) + addend), each number by
// itself. For add.cc and batch_norm.cc.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/exact/exact_sum.h"

namespace tensorquant {

// A(sum), exactly. `outside`, if given, becomes whether the sum lies outside of A's range.
template <class T>
double rounded_sum(const Arithmetic& arithmetic, const ArithmeticContext& context,
                   const ExactSum<double>& sum, std::uint64_t index, std::uint32_t tap,
                   bool* outside);

// Some neighbouring numbers of a float32 tensor that take each step together, in float64. For
// formats that take numbers rounded to odd.
class Block {
 public:
  static constexpr std::size_t kSize = 1024;

  Block(const Arithmetic& arithmetic, const ArithmeticContext& context, std::size_t first,
        std::size_t count);

  std::span<double> values() { return {values_, count_}; }
  std::span<double> addends() { return {addends_, count_}; }

  // values * factor, rounded to odd. The values are the block's from `begin` on, and are float32,
  // so that their products with both halves of the factor are exact.
  void multiply(double factor, std::span<double> values, std::size_t begin);
  // All values, to the product's format.
  void round_products(RangeReport* report);
  // A(values + addends), as float32, to the block's place in y.
  void add(float* y, RangeReport* report, bool* outside);

 private:
  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  std::size_t first_, count_;
  std::vector<std::int64_t> indices_;  // for random rounding alone
  double values_[kSize], addends_[kSize];
};

// body(first, count, report) for all blocks, on several threads. Their reports, null where `report`
// is, are merged into it.
void for_each_block(std::size_t count, RangeReport* report,
                    const std::function<void(std::size_t, std::size_t, RangeReport*)>& body);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_BLOCK_H_
