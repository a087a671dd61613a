// The kernels' sums, looked at on the way.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/looking_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "tensorquant/arithmetic/sums/looking.h"
#include "tensorquant/arithmetic/sums/looking_sum-inl.h"
#include "tensorquant/arithmetic/sums/scoped_rounding.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86

template <Ends ends, class Looks>
void LookAtTile(const SumJob& job, const Looks& looks, const Tile& tile, std::size_t steps,
                const typename Looks::A* a, const typename Looks::B* b, TileLook& look) {
  // Two sums take twice the registers.
  constexpr std::size_t kTogether = Looks::kKeepsRunning ? kRows / 2 : kRows;
  constexpr std::size_t kRest = Looks::kKeepsRunning ? kTogether : 1;  // fewer loops to compile
  look.extremes = {};
  look.is_near = false;
  look.is_counted = ends == Ends::counted;
  look.has_running = Looks::kKeepsRunning;
  if constexpr (ends == Ends::counted) std::fill_n(look.outside, kPackedRows * tile.stride, 0);
  const ScopedRounding rounding(job.constants.machine_rounding);
  std::size_t i = 0;
  for (; tile.rows - i > kTogether / 2; i = std::min(i + kTogether, tile.rows)) {
    LookAtRows<kTogether, ends>(looks, steps, a + i, b, i, look);
  }
  // Rows behind the last one are zeros.
  for (; i < tile.rows; i += kRest) LookAtRows<kRest, ends>(looks, steps, a + i, b, i, look);
}

// Sums of exact and of fixed-point products. Where they are neither rounded nor beyond the ends
// they are the running sums, which is tried first.
template <class Op>
class FixedLooker {
 public:
  using Packing = typename Op::Packing;
  explicit FixedLooker(const SumConstants& c)
      : lowest_(c.unit * c.lowest_sum), highest_(c.unit * c.highest_sum), free_(c), both_(c) {}

  void Look(const SumJob& job, const Tile& tile, std::size_t steps, const typename Packing::A* a,
            const typename Packing::B* b, TileLook& look) const {
    const bool clamps = job.plan.clamps_sums;
    if (!job.plan.rounds_sums && !(clamps && look.counts_first)) {
      LookAtTile<Ends::open>(job, free_, tile, steps, a, b, look);
      if (!clamps || (look.extremes.lowest >= lowest_ && look.extremes.highest <= highest_)) return;
    }
    if constexpr (kRoundsOrClamps) {
      clamps ? LookAtTile<Ends::counted>(job, both_, tile, steps, a, b, look)
             : LookAtTile<Ends::open>(job, both_, tile, steps, a, b, look);
    }
  }
  void LookAgain(const SumJob&, const Tile&, std::size_t, const typename Packing::A*,
                 const typename Packing::B*, TileLook&) const {}

 private:
  using Free = typename FreeOpOf<Op>::type;
  struct Nothing {
    explicit Nothing(const SumConstants&) {}
  };
  static constexpr bool kRoundsOrClamps = HWY_NAMESPACE::kRoundsOrClamps<Op>;

  const double lowest_, highest_;
  const FreeLooks<Free> free_;
  const std::conditional_t<kRoundsOrClamps, FixedLooks<Op>, Nothing> both_;
};

// Sums of floats.
template <class Op>
class FloatLooker {
 public:
  using Packing = typename Op::Packing;
  explicit FloatLooker(const SumConstants& c) : free_(c), both_(c) {}

  void Look(const SumJob& job, const Tile& tile, std::size_t steps, const typename Packing::A* a,
            const typename Packing::B* b, TileLook& look) const {
    if (!job.plan.rounds_sums) {
      if constexpr (Op::kSumsAreOfMachine) {
        LookAtTile<Ends::open>(job, free_, tile, steps, a, b, look);
      }
      return;
    }
    if constexpr (Op::kSumsHaveEnds && FloatLooks<Op>::kTellsEnds) {
      if (!look.counts_first) LookAtTile<Ends::watched>(job, both_, tile, steps, a, b, look);
      if (look.counts_first || look.is_near) {
        LookAtTile<Ends::counted>(job, both_, tile, steps, a, b, look);
      }
    } else if constexpr (!Op::kSumsHaveEnds) {
      LookAtTile<Ends::open>(job, both_, tile, steps, a, b, look);
    }
    if constexpr (kIsFloat) {
      // Each of the additions rounds, those of the definition too.
      const double largest = std::max(-look.extremes.lowest, look.extremes.highest);
      look.error = static_cast<double>(steps) * (0x1p-23 * largest + 0x1p-149);
    }
  }
  // The running sums as they are defined, in float64.
  void LookAgain(const SumJob&, const Tile& tile, std::size_t steps, const typename Packing::A* a,
                 const typename Packing::B* b, TileLook& look) const {
    if constexpr (kIsFloat) {
      look.extremes = {};
      for (std::size_t i = 0; i < tile.rows; ++i) RunInDouble(both_, steps, a + i, b, i, look);
    }
  }

 private:
  static constexpr bool kIsFloat = sizeof(typename Op::T) == sizeof(float);

  const FreeLooks<Op> free_;
  const FloatLooks<Op> both_;
};

// A Looker, by pointers: panels are compiled once for all that pack their factors alike.
template <class Packing>
struct TileLooks {
  using Function = void (*)(const SumJob& job, const void* looker, const Tile& tile,
                            std::size_t steps, const typename Packing::A* a,
                            const typename Packing::B* b, TileLook& look);
  const void* looker;
  Function look, look_again;
};

template <class Packing>
class LookingPanel {
 public:
  LookingPanel(const SumJob& job, const Steps& steps, std::size_t) : job_(job), steps_(steps) {}
  ~LookingPanel() {
    if (job_.report != nullptr) job_.report->merge(report_);
  }
  LookingPanel(const LookingPanel&) = delete;
  LookingPanel& operator=(const LookingPanel&) = delete;

  void SetColumns(std::size_t) {}
  void Run(const TileLooks<Packing>& looks, const Tile& tile, const typename Packing::A* a,
           const typename Packing::B* b) {
    look_.error = 0;
    looks.look(job_, looks.looker, tile, steps_.size(), a, b, look_);
    DropSignsOfZeros(job_, {look_.sums, tile.rows * tile.stride});
    if (job_.report != nullptr) {
      SumExtremes extremes = WithBias(tile);
      if (look_.error > 0 && MayBeExtreme(extremes)) {
        looks.look_again(job_, looks.looker, tile, steps_.size(), a, b, look_);
        look_.error = 0;
        extremes = WithBias(tile);
      }
      if (look_.error == 0) {
        report_.lowest_sum = std::min(report_.lowest_sum, extremes.lowest);
        report_.highest_sum = std::max(report_.highest_sum, extremes.highest);
      }
    }
    Count(tile);
    if (job_.sums.outside != nullptr && !job_.sums.has_bias() && !job_.rounds_at_the_end())
      Mark(tile);
    finish_tile(job_, tile, look_.sums, job_.report != nullptr ? &report_ : nullptr);
  }

 private:
  // Of the running sums, that with the bias too.
  SumExtremes WithBias(const Tile& tile) const {
    SumExtremes extremes = look_.extremes;
    if (!job_.sums.has_bias()) return extremes;
    for (std::size_t i = 0; i < tile.rows; ++i) {
      for (std::size_t j = 0; j < tile.columns; ++j) {
        const double bias = *job_.sums.bias(tile.row + i, tile.column + j);
        const double sum = look_.running_sums()[i * tile.stride + j] + bias;
        if (!std::isfinite(sum)) continue;
        extremes.lowest = std::min(extremes.lowest, sum);
        extremes.highest = std::max(extremes.highest, sum);
      }
    }
    return extremes;
  }

  // The slack is for the addition of the bias.
  bool MayBeExtreme(const SumExtremes& extremes) const {
    const double error = look_.error + 0x1p-50 * std::max(-extremes.lowest, extremes.highest);
    return extremes.lowest - error < report_.lowest_sum ||
           extremes.highest + error > report_.highest_sum;
  }

  void Count(const Tile& tile) {
    look_.counts_first = false;
    if (!look_.is_counted) return;
    for (std::size_t i = 0; i < tile.rows; ++i) {
      for (std::size_t j = 0; j < tile.columns; ++j) {
        const auto count = static_cast<std::uint64_t>(look_.outside[i * tile.stride + j]);
        report_.clamped_sums += count;
        look_.counts_first |= count != 0;
      }
    }
  }

  void Mark(const Tile& tile) const {
    for (std::size_t i = 0; i < tile.rows; ++i) {
      for (std::size_t j = 0; j < tile.columns; ++j) {
        job_.sums.outside[job_.sums.rows[tile.row + i] + job_.sums.columns[tile.column + j]] =
            look_.is_counted && look_.is_last_outside[i * tile.stride + j];
      }
    }
  }

  const SumJob& job_;
  const Steps& steps_;
  RangeReport report_;
  TileLook look_;
};

template <class Looker>
void RunLooker(const SumJob& job, const Looker& looker) {
  using Packing = typename Looker::Packing;
  using A = typename Packing::A;
  using B = typename Packing::B;
  const auto look = [](const SumJob& its_job, const void* its, const Tile& tile, std::size_t steps,
                       const A* a, const B* b, TileLook& to) {
    static_cast<const Looker*>(its)->Look(its_job, tile, steps, a, b, to);
  };
  const auto look_again = [](const SumJob& its_job, const void* its, const Tile& tile,
                             std::size_t steps, const A* a, const B* b, TileLook& to) {
    static_cast<const Looker*>(its)->LookAgain(its_job, tile, steps, a, b, to);
  };
  const Packing packing;
  RunPanels<LookingPanel<Packing>>(job, packing, TileLooks<Packing>{&looker, look, look_again},
                                   {job.sums.taps()});
}

void RunLookingKernel(const SumJob& job) {
  WithOp(job, [&]<class Op>(const Op&) {
    if constexpr (requires { Op::kProductsAreExact; }) {
      if constexpr (!Op::kRoundsToZero) RunLooker(job, FloatLooker<Op>(job.constants));
    } else {
      RunLooker(job, FixedLooker<Op>(job.constants));
    }
  });
}

#else
void RunLookingKernel(const SumJob&) {}
#endif
}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(RunLookingKernel);

void run_looking_kernel(const SumJob& job) { HWY_DYNAMIC_DISPATCH(RunLookingKernel)(job); }

}  // namespace tensorquant
#endif  // HWY_ONCE
