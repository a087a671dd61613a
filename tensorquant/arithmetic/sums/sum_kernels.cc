#include "tensorquant/arithmetic/sums/sum_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/sum_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <vector>

#include "tensorquant/arithmetic/sums/byte_segments-inl.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/fixed_sum-inl.h"
#include "tensorquant/arithmetic/sums/integer_sum-inl.h"
#include "tensorquant/arithmetic/sums/minifloat_sum-inl.h"
#include "tensorquant/arithmetic/sums/outer_sums.h"
#include "tensorquant/arithmetic/sums/pack-inl.h"
#include "tensorquant/arithmetic/sums/scoped_rounding.h"
#include "tensorquant/arithmetic/sums/segment_sums-inl.h"
#include "tensorquant/arithmetic/sums/stochastic_sum-inl.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// Rows of the registers' block, which is two vectors wide.
inline constexpr std::size_t kRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

// sums[i][j] = op's sum of a(i, k) * b(k, j) over the taps k of some steps, for `rows` rows and two
// vectors of columns. a is packed by kPackedRows, b by columns.
template <std::size_t rows, class Op>
HWY_NOINLINE void Sum(const Op& given, std::size_t steps, const typename Op::A* a,
                      const typename Op::B* b, double* sums) {
  const Op op = given;  // in registers
  const std::size_t lanes = hn::Lanes(typename Op::D()), numbers = Op::kTogether * lanes;
  typename Op::Sum s[rows][2];
  for (std::size_t i = 0; i < rows; ++i) s[i][0] = s[i][1] = op.Zero();
  for (std::size_t k = 0; k < steps; ++k) {
    const auto b0 = op.Load(b), b1 = op.Load(b + numbers);
    b += 2 * numbers;
    HWY_UNROLL(8)
    for (std::size_t i = 0; i < rows; ++i) {
      const auto ai = op.Broadcast(a[i]);
      s[i][0] = op.Step(s[i][0], ai, b0);
      s[i][1] = op.Step(s[i][1], ai, b1);
    }
    a += kPackedRows;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    op.Store(s[i][0], steps, sums + 2 * lanes * i);
    op.Store(s[i][1], steps, sums + 2 * lanes * i + lanes);
  }
}

// Of all the rows of a tile.
template <class Op>
void SumTile(const SumJob& job, const Op& op, const Tile& tile, std::size_t steps,
             const typename Op::A* a, const typename Op::B* b, double* sums) {
  {
    const ScopedRounding rounding(job.constants.machine_rounding);
    std::size_t i = 0;
    for (; tile.rows - i > kRows / 2; i = std::min(i + kRows, tile.rows)) {
      Sum<kRows>(op, steps, a + i, b, sums + i * tile.stride);
    }
    for (; i < tile.rows; ++i) Sum<1>(op, steps, a + i, b, sums + i * tile.stride);
  }
  // Fixed point has one zero; rounding down, the machine makes -0 even of x - x.
  const bool has_zeros_with_signs = job.plan.kernel == SumKernel::minifloat &&
                                    job.constants.minifloat.sums >= MinifloatSums::small;
  if (has_zeros_with_signs) return;
  for (std::size_t i = 0; i < tile.rows * tile.stride; ++i) sums[i] += 0.0;
}

// An op's SumTile, by a pointer: panels are compiled once for all ops that pack their factors
// alike.
template <class Packing>
struct TileSums {
  void operator()(const SumJob& job, const Tile& tile, std::size_t steps,
                  const typename Packing::A* a, const typename Packing::B* b, double* sums) const {
    run(job, op, tile, steps, a, b, sums);
  }

  const void* op;
  void (*run)(const SumJob& job, const void* op, const Tile& tile, std::size_t steps,
              const typename Packing::A* a, const typename Packing::B* b, double* sums);
};

// The segments of a panel of columns, one after the other, for all rows. T is what the outer sums
// are kept in.
template <class T, class Packing>
class SegmentedPanel {
 public:
  SegmentedPanel(const SumJob& job, const Steps& steps, std::size_t width)
      : job_(job), steps_(steps), width_(width), room_(width * steps.ends.size()) {}

  void SetColumns(std::size_t first) {
    scales_.clear();
    for (std::size_t i = 0; i < steps_.ends.size(); ++i) {
      scales_.push_back(
          job_.outer->column_scales(i, first, std::span(room_).subspan(i * width_, width_)));
    }
  }

  void Run(const TileSums<Packing>& sum_tile, const Tile& tile, const typename Packing::A* a,
           const typename Packing::B* b) {
    std::fill(t_, t_ + tile.rows * width_, T{0});
    std::size_t first = 0;
    for (std::size_t i = 0; i < steps_.ends.size(); ++i) {
      sum_tile(job_, tile, steps_.ends[i] - first, a + first * kPackedRows,
               b + first * Packing::kTogether * width_, sums_);
      first = steps_.ends[i];
      RoundAtTheEnd(job_, std::span(sums_, tile.rows * width_));
      job_.outer->add(tile, i, scales_[i], sums_, t_);
    }
    job_.outer->finish(tile, t_);
  }

 private:
  const SumJob& job_;
  const Steps& steps_;
  const std::size_t width_;
  std::vector<float> room_;
  std::vector<ColumnScales> scales_;  // of each segment
  alignas(64) double sums_[kPackedRows * kMostWidth];
  alignas(64) T t_[kPackedRows * kMostWidth];
};

// The sums of one level.
template <class Packing>
class Panel {
 public:
  Panel(const SumJob& job, const Steps& steps, std::size_t) : job_(job), steps_(steps) {}

  void SetColumns(std::size_t) {}
  void Run(const TileSums<Packing>& sum_tile, const Tile& tile, const typename Packing::A* a,
           const typename Packing::B* b) {
    sum_tile(job_, tile, steps_.size(), a, b, sums_);
    finish_tile(job_, tile, sums_);
  }

 private:
  const SumJob& job_;
  const Steps& steps_;
  alignas(64) double sums_[kPackedRows * kMostWidth];
};

template <class Panel, class Packing>
void RunPanels(const SumJob& job, const Packing& packing, const TileSums<Packing>& sum_tile,
               const std::vector<std::size_t>& ends) {
  const std::size_t width = 2 * hn::Lanes(typename Packing::D());
  const std::size_t rows = job.sums.rows.size(), columns = job.sums.columns.size();
  if (rows == 0 || columns == 0) return;
  const Steps steps(ends, Packing::kTogether);
  const auto a = PackRows(packing, steps, job.sums.a, job.constants.a_scale);
  const std::size_t panels = (columns + width - 1) / width;
  const std::size_t work = std::max<std::size_t>(1, rows * width * job.sums.taps() / 8);
  parallel_for(panels * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    std::vector<typename Packing::B> b(width * steps.size() * Packing::kTogether);
    Panel panel(job, steps, width);
    for (std::size_t i = begin / work; i < (end + work - 1) / work; ++i) {
      const std::size_t column = i * width;
      PackColumns(packing, steps, job.sums.b, column, width, b.data());
      panel.SetColumns(column);
      for (std::size_t row = 0; row < rows; row += kPackedRows) {
        const Tile tile = {row, std::min(kPackedRows, rows - row), column,
                           std::min(width, columns - column), width};
        panel.Run(sum_tile, tile, a.data() + row * steps.size(), b.data());
      }
    }
  });
}

template <class Packing>
void RunPacked(const SumJob& job, const Packing& packing, const TileSums<Packing>& sum_tile) {
  if (job.outer == nullptr) {
    return RunPanels<Panel<Packing>>(job, packing, sum_tile, {job.sums.taps()});
  }
  const std::vector<std::size_t>& ends = job.outer->ends();
  job.outer->adds_in_float32()
      ? RunPanels<SegmentedPanel<float, Packing>>(job, packing, sum_tile, ends)
      : RunPanels<SegmentedPanel<double, Packing>>(job, packing, sum_tile, ends);
}

template <class Op>
void RunOp(const SumJob& job, const Op& op) {
  using Packing = typename Op::Packing;
  const auto run = [](const SumJob& its_job, const void* its_op, const Tile& tile,
                      std::size_t steps, const typename Packing::A* a, const typename Packing::B* b,
                      double* sums) {
    SumTile(its_job, *static_cast<const Op*>(its_op), tile, steps, a, b, sums);
  };
  RunPacked<Packing>(job, op, {&op, run});
}

// run(constant) with the flag as a compile-time constant.
template <class Run>
void With(bool flag, const Run& run) {
  flag ? run(std::true_type()) : run(std::false_type());
}

template <bool clamps_sums>
void RunFixedDouble(const SumJob& job) {
  const SumConstants& c = job.constants;
  const auto with_rounding = [&](const auto& run) {
    if (*c.sum_rounding == Rounding::even) {
      run(std::integral_constant<int, kEven>());
    } else {
      run(std::integral_constant<int, kNearest>());
    }
  };
  if (!c.rounds_products) {
    if (!c.sum_rounding) return RunOp(job, FixedDoubleOp<false, false, clamps_sums>(c));
    return with_rounding(
        [&](auto rounding) { RunOp(job, RoundedExactOp<rounding.value, clamps_sums>(c)); });
  }
  With(job.plan.clamps_products, [&](auto products) {
    if (c.sum_rounding) {
      with_rounding([&](auto rounding) {
        RunOp(job, RoundedDoubleOp<products.value, rounding.value, clamps_sums>(c));
      });
    } else if constexpr (clamps_sums) {
      RunOp(job, FixedDoubleOp<true, products.value, true>(c));
    } else {
      RunOp(job, FixedLongOp<products.value>(c));
    }
  });
}

// run(ends) with the ends as a compile-time constant.
template <class Run>
void WithEnds(MinifloatEnds ends, const Run& run) {
  switch (ends) {
    case MinifloatEnds::open:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::open>());
    case MinifloatEnds::clamp:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::clamp>());
    case MinifloatEnds::infinite:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::infinite>());
    case MinifloatEnds::replace:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::replace>());
  }
}

// What plan_minifloat() plans.
constexpr bool IsPlanned(MinifloatProducts products, MinifloatSums sums, MinifloatEnds product_ends,
                         MinifloatEnds sum_ends, bool to_zero) {
  using enum MinifloatEnds;
  if (products != MinifloatProducts::rounded && product_ends != open) return false;
  if (sums == MinifloatSums::machine && sum_ends != open) return false;
  if (to_zero && (product_ends > clamp || sum_ends > clamp)) return false;
  return product_ends == open || sum_ends == open || product_ends == sum_ends;
}

template <class Lane, MinifloatProducts products, MinifloatSums sums, bool to_zero>
void RunMinifloat(const SumJob& job) {
  const MinifloatSteps& steps = job.constants.minifloat;
  WithEnds(steps.product_ends, [&](auto product_ends) {
    WithEnds(steps.sum_ends, [&](auto sum_ends) {
      constexpr MinifloatEnds kProducts = product_ends.value, kSums = sum_ends.value;
      if constexpr (IsPlanned(products, sums, kProducts, kSums, to_zero)) {
        RunOp(job, MinifloatOp<Lane, products, sums, kProducts, kSums, to_zero>(job.constants));
      }
    });
  });
}

template <class Lane, MinifloatProducts products, bool to_zero>
void RunMinifloat(const SumJob& job) {
  switch (job.constants.minifloat.sums) {
    case MinifloatSums::machine:
      return RunMinifloat<Lane, products, MinifloatSums::machine, to_zero>(job);
    case MinifloatSums::rounded:
      return RunMinifloat<Lane, products, MinifloatSums::rounded, to_zero>(job);
    case MinifloatSums::small:
      return RunMinifloat<Lane, products, MinifloatSums::small, to_zero>(job);
    case MinifloatSums::odd:
      return RunMinifloat<double, products, MinifloatSums::odd, false>(job);
  }
}

template <class Lane, bool to_zero>
void RunMinifloat(const SumJob& job) {
  switch (job.constants.minifloat.products) {
    case MinifloatProducts::exact:
      return RunMinifloat<Lane, MinifloatProducts::exact, to_zero>(job);
    case MinifloatProducts::machine:
      return RunMinifloat<float, MinifloatProducts::machine, MinifloatSums::machine, false>(job);
    case MinifloatProducts::rounded:
      return RunMinifloat<Lane, MinifloatProducts::rounded, to_zero>(job);
  }
}

void RunMinifloat(const SumJob& job) {
  const MinifloatSteps& steps = job.constants.minifloat;
  if (steps.in_double) return RunMinifloat<double, false>(job);
  steps.to_zero ? RunMinifloat<float, true>(job) : RunMinifloat<float, false>(job);
}

void RunKernel(const SumJob& job) {
  const SumConstants& c = job.constants;
  const bool clamps_products = job.plan.clamps_products, clamps_sums = job.plan.clamps_sums;
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  switch (job.plan.kernel) {
    case SumKernel::integer:
      if (c.without_sign && HasByteProducts()) return RunBytes(job);
      return RunOp(job, IntegerOp(c));
    case SumKernel::exact:
      return RunOp(job, ExactOp());
    case SumKernel::fixed_int:
      return With(clamps_products, [&](auto products) {
        With(clamps_sums, [&](auto sums) {
          With(c.shift > 0, [&](auto shifts) {
            RunOp(job, FixedIntOp<products.value, sums.value, shifts.value>(c));
          });
        });
      });
    case SumKernel::fixed_float:
      return With(clamps_products, [&](auto products) {
        With(clamps_sums, [&](auto sums) {
          With(c.product_rounding == Rounding::nearest, [&](auto nearest) {
            RunOp(job, FixedFloatOp<nearest.value, products.value, sums.value>(c));
          });
        });
      });
    case SumKernel::fixed_double:
      return With(clamps_sums, [&](auto sums) { RunFixedDouble<sums.value>(job); });
    case SumKernel::minifloat:
      return RunMinifloat(job);
    case SumKernel::stochastic:
      return With(clamps_products, [&](auto products) {
        With(clamps_sums, [&](auto sums) {
          With(draws_half_words(c.random_bits),
               [&](auto halves) { RunStochastic<products.value, sums.value, halves.value>(job); });
        });
      });
    case SumKernel::reference:
    case SumKernel::tiles:
    case SumKernel::align:
      break;
  }
#else
  (void)c, (void)clamps_products, (void)clamps_sums;
#endif
}

bool HasFusedMultiplyAdd() { return HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86; }

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(RunKernel);
HWY_EXPORT(HasFusedMultiplyAdd);

bool is_by_tile(SumKernel kernel) {
  return kernel != SumKernel::reference && kernel != SumKernel::tiles &&
         kernel != SumKernel::align && kernel != SumKernel::stochastic;
}
void run_sum_kernel(const SumJob& job) { HWY_DYNAMIC_DISPATCH(RunKernel)(job); }
bool has_fused_multiply_add() { return HWY_DYNAMIC_DISPATCH(HasFusedMultiplyAdd)(); }
}  // namespace tensorquant
#endif  // HWY_ONCE
