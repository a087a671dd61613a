#ifndef TENSORQUANT_ARITHMETIC_SUMS_SUM_KERNELS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SUM_KERNELS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tensorquant/arithmetic/sums/minifloat_steps.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/arithmetic/sums/tile_steps.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

class OuterSums;
class SharedReport;

// Whether the kernels of the best SIMD target have a fused multiply-add; without it only `tiles`
// and `reference` are there.
bool has_fused_multiply_add();

enum class FactorOfBytes { a, b };

// The float kernels work in units: products and sums are multiples of `unit`, and a is multiplied
// by a_scale when it is packed.
//
// `magic` is 1.5 * 2^(p-1) times the product's step in units, where p is the precision of the
// lanes: a * b + magic, rounded once by the fused multiply-add, is magic plus a * b rounded to a
// multiple of the step, in the machine's rounding direction.
struct SumConstants {
  double unit = 1;
  double a_scale = 1;
  double b_scale = 1;  // integer: likewise
  // integer: factors are bytes; that of one factor, less the lowest integer there, has no sign.
  std::optional<FactorOfBytes> without_sign;
  int lowest = 0;
  double magic = 0;
  double lowest_product = 0, highest_product = 0;
  double lowest_sum = 0, highest_sum = 0;
  int shift = 0;             // fixed_int: a unit of the sum is 2^-shift steps of a product
  int machine_rounding = 0;  // of <cfenv>, while products are rounded
  bool rounds_products = true;
  Rounding product_rounding = Rounding::even;  // fixed_float: zero or nearest
  std::optional<Rounding> sum_rounding;        // fixed_double: even or nearest
  int random_bits = 0;                         // stochastic: see Draw
  MinifloatSteps minifloat = {};
  // Ops whose limits a sum may reach try without them first, where this is not 0: so many steps
  // take no sum below check_limit, in lanes, to a limit.
  std::size_t check_every = 0;
  double check_limit = 0;
  // tiles: nothing where a kernel rounds, which any numbers may be given
  std::optional<LaneFormat> product_lanes, sum_lanes;
  bool adds_to_odd = true;
  // Accumulate::once: false where every sum is in the format.
  bool rounds_at_the_end = true;
  // Float32 has no sum beyond its ends, nor one with bits below its last one.
  bool sums_are_in_range = false;
  bool ends_in_float32 = false;  // that format is float32, and no sum is beyond its ends
  bool sums_in_float32 = false;  // all sums, at their end, are numbers of float32
};

struct SumJob {
  const Arithmetic& arithmetic;
  const ArithmeticContext& context;
  const SumsOfProducts<float>& sums;
  SumPlan plan;
  SumConstants constants;
  const OuterSums* outer = nullptr;  // of sums of two levels
  SharedReport* report = nullptr;    // of sums that are looked at
  std::atomic<int>* luck = nullptr;  // of tries that may fail, below 0 where they are not worth it

  bool rounds_at_the_end() const {
    return arithmetic.accumulate.mode == Accumulate::Mode::once && constants.rounds_at_the_end;
  }
};

// Whether run_sum_kernel() has the loop. It is the only one that knows of outer sums.
bool is_by_tile(SumKernel kernel);
void run_sum_kernel(const SumJob& job);
void run_aligned(const SumJob& job);
void run_tiles(const SumJob& job, RangeReport* report);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SUM_KERNELS_H_
