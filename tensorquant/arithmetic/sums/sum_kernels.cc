#include "tensorquant/arithmetic/sums/sum_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/sum_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <type_traits>
#include <vector>

#include "tensorquant/arithmetic/sums/byte_segments-inl.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/integer_sum-inl.h"
#include "tensorquant/arithmetic/sums/ops-inl.h"
#include "tensorquant/arithmetic/sums/outer_sums.h"
#include "tensorquant/arithmetic/sums/panels-inl.h"
#include "tensorquant/arithmetic/sums/scoped_rounding.h"
#include "tensorquant/arithmetic/sums/segment_sums-inl.h"
#include "tensorquant/arithmetic/sums/stochastic_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// s[i][j] = step(s[i][j], a(i, k), b(k, j)) for the taps k of some steps, behind which a and b are
// then.
template <std::size_t rows, class Op, class Step>
HWY_INLINE void AddSteps(const Op& op, std::size_t steps, const typename Op::A*& a,
                         const typename Op::B*& b, typename Op::Sum (&s)[rows][2],
                         const Step& step) {
  const std::size_t numbers = Op::kTogether * hn::Lanes(typename Op::D());
  for (std::size_t k = 0; k < steps; ++k) {
    const auto b0 = op.Load(b), b1 = op.Load(b + numbers);
    b += 2 * numbers;
    HWY_UNROLL(8)
    for (std::size_t i = 0; i < rows; ++i) {
      const auto ai = op.Broadcast(a[i]);
      s[i][0] = step(s[i][0], ai, b0);
      s[i][1] = step(s[i][1], ai, b1);
    }
    a += kPackedRows;
  }
}

// The op's own steps.
template <std::size_t rows, class Op>
HWY_INLINE void AddSteps(const Op& op, std::size_t steps, const typename Op::A*& a,
                         const typename Op::B*& b, typename Op::Sum (&s)[rows][2]) {
  AddSteps(op, steps, a, b, s,
           [&](auto sum, auto ai, auto bj) HWY_ATTR { return op.Step(sum, ai, bj); });
}

// To sums[i][j]; of so many steps.
template <std::size_t rows, class Op>
HWY_INLINE void StoreSums(const Op& op, std::size_t steps, const typename Op::Sum (&s)[rows][2],
                          double* sums) {
  const std::size_t lanes = hn::Lanes(typename Op::D());
  for (std::size_t i = 0; i < rows; ++i) {
    op.Store(s[i][0], steps, sums + 2 * lanes * i);
    op.Store(s[i][1], steps, sums + 2 * lanes * i + lanes);
  }
}

// sums[i][j] = op's sum of a(i, k) * b(k, j) over the taps k of some steps, for `rows` rows and two
// vectors of columns. a is packed by kPackedRows, b by columns.
template <std::size_t rows, class Op>
HWY_NOINLINE void Sum(const Op& given, std::size_t steps, const typename Op::A* a,
                      const typename Op::B* b, double* sums) {
  const Op op = given;  // in registers
  typename Op::Sum s[rows][2];
  for (std::size_t i = 0; i < rows; ++i) s[i][0] = s[i][1] = op.Zero();
  AddSteps(op, steps, a, b, s);
  StoreSums(op, steps, s, sums);
}

// The same by an op without limits, as long as the sums are far from those that it should have.
// False where they come near: there are no sums then.
template <std::size_t rows, class Op>
HWY_NOINLINE bool SumFarFromLimits(const SumConstants& constants, const Op& given,
                                   std::size_t steps, const typename Op::A* a,
                                   const typename Op::B* b, double* sums) {
  const Op op = given;  // in registers
  typename Op::Sum s[rows][2];
  for (std::size_t i = 0; i < rows; ++i) s[i][0] = s[i][1] = op.Zero();
  const hn::DFromV<typename Op::Sum> ds;
  const auto limit = hn::Set(ds, static_cast<hn::TFromD<decltype(ds)>>(constants.check_limit));
  for (std::size_t k = 0; k < steps;) {
    const std::size_t count = std::min(constants.check_every, steps - k);
    AddSteps(op, count, a, b, s);
    k += count;
    if (k == steps) break;
    auto largest = hn::Zero(ds);
    for (std::size_t i = 0; i < rows; ++i) {
      largest = hn::Max(largest, op.Magnitude(s[i][0], k));
      largest = hn::Max(largest, op.Magnitude(s[i][1], k));
    }
    if (!hn::AllTrue(ds, hn::Lt(largest, limit))) return false;
  }
  StoreSums(op, steps, s, sums);
  return true;
}

// The same by an op that goes without ties. False where there is one.
template <std::size_t rows, class Op>
HWY_NOINLINE bool SumWithoutTies(const Op& given, std::size_t steps, const typename Op::A* a,
                                 const typename Op::B* b, double* sums) {
  constexpr std::size_t kStepsAtOnce = 64;
  const Op op = given;  // in registers
  typename Op::Sum s[rows][2];
  for (std::size_t i = 0; i < rows; ++i) s[i][0] = s[i][1] = op.Zero();
  const typename Op::D d;
  auto ties = hn::Lt(hn::Zero(d), hn::Zero(d));  // none
  for (std::size_t k = 0; k < steps; k += kStepsAtOnce) {
    AddSteps(op, std::min(kStepsAtOnce, steps - k), a, b, s,
             [&](auto sum, auto ai, auto bj) HWY_ATTR { return op.Step(sum, ai, bj, ties); });
    if (!hn::AllFalse(d, ties)) return false;
  }
  StoreSums(op, steps, s, sums);
  return true;
}

// Tries what is faster, if it has served so far. A try that fails costs more than one that does not
// saves.
template <class Try>
bool SucceedsWithLuck(const SumJob& job, const Try& attempt) {
  if (job.luck->load(std::memory_order_relaxed) < 0) return false;
  const bool serves = attempt();
  const int luck = job.luck->load(std::memory_order_relaxed);
  job.luck->store(serves ? std::min(luck + 1, 100) : luck - 4, std::memory_order_relaxed);
  return serves;
}

template <std::size_t rows, class Op>
void SumWithLuck(const SumJob& job, const Op& op, std::size_t steps, const typename Op::A* a,
                 const typename Op::B* b, double* sums) {
  const SumConstants& c = job.constants;
  bool is_done = false;
  if constexpr (Op::kMayGoWithoutTies) {
    using Small = typename Op::template WithoutTies<MinifloatSums::small>;
    using Normal = typename Op::template WithoutTies<MinifloatSums::rounded>;
    is_done = SucceedsWithLuck(job, [&] {
      return c.minifloat.are_odd_small ? SumWithoutTies<rows>(Small(c), steps, a, b, sums)
                                       : SumWithoutTies<rows>(Normal(c), steps, a, b, sums);
    });
  } else if constexpr (!std::is_void_v<typename Op::Open>) {
    if (c.check_every > 0) {
      is_done = SucceedsWithLuck(
          job, [&] { return SumFarFromLimits<rows>(c, typename Op::Open(c), steps, a, b, sums); });
    }
  }
  if (!is_done) Sum<rows>(op, steps, a, b, sums);
}

// Of all the rows of a tile.
template <class Op>
void SumTile(const SumJob& job, const Op& op, const Tile& tile, std::size_t steps,
             const typename Op::A* a, const typename Op::B* b, double* sums) {
  {
    const ScopedRounding rounding(job.constants.machine_rounding);
    std::size_t i = 0;
    for (; tile.rows - i > kRows / 2; i = std::min(i + kRows, tile.rows)) {
      SumWithLuck<kRows>(job, op, steps, a + i, b, sums + i * tile.stride);
    }
    for (; i < tile.rows; ++i) Sum<1>(op, steps, a + i, b, sums + i * tile.stride);
  }
  DropSignsOfZeros(job, {sums, tile.rows * tile.stride});
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

void RunKernel(const SumJob& job) {
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  switch (job.plan.kernel) {
    case SumKernel::integer:
      if (job.constants.without_sign && HasByteProducts()) return RunBytes(job);
      return RunOp(job, IntegerOp(job.constants));
    case SumKernel::stochastic:
      return With(job.plan.clamps_products, [&](auto products) {
        With(job.plan.clamps_sums, [&](auto sums) {
          With(draws_half_words(job.constants.random_bits),
               [&](auto halves) { RunStochastic<products.value, sums.value, halves.value>(job); });
        });
      });
    default:
      return WithOp(job, [&](const auto& op) { RunOp(job, op); });
  }
#else
  (void)job;
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
void run_sum_kernel(const SumJob& given) {
  SumJob job = given;
  std::atomic<int> luck = 8;
  job.luck = &luck;
  HWY_DYNAMIC_DISPATCH(RunKernel)(job);
}
bool has_fused_multiply_add() { return HWY_DYNAMIC_DISPATCH(HasFusedMultiplyAdd)(); }
}  // namespace tensorquant
#endif  // HWY_ONCE
