// Steps of sums that are looked at. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_LOOKING_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_LOOKING_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_LOOKING_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_LOOKING_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensorquant/arithmetic/sums/ops-inl.h"
#include "tensorquant/arithmetic/sums/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// The op with the same products and neither limits nor roundings of its sums.
template <class Op>
struct FreeOpOf {
  using type = Op;
};
template <bool products, bool sums, bool shifts, bool is_biased>
struct FreeOpOf<FixedIntOp<products, sums, shifts, is_biased>> {
  using type = FixedIntOp<products, false, shifts, false>;
};
template <bool nearest, bool products, bool sums>
struct FreeOpOf<FixedFloatOp<nearest, products, sums>> {
  using type = FixedFloatOp<nearest, products, false>;
};
template <bool rounds, bool products, bool sums>
struct FreeOpOf<FixedDoubleOp<rounds, products, sums>> {
  using type = FixedDoubleOp<rounds, products, false>;
};
template <bool products>
struct FreeOpOf<FixedLongOp<products>> {
  using type = FixedDoubleOp<true, products, false>;
};
// The sums of which need no limits.
template <class Op>
inline constexpr bool kIsLong = false;
template <bool products>
inline constexpr bool kIsLong<FixedLongOp<products>> = true;

template <bool products, int rounding, bool sums>
struct FreeOpOf<RoundedDoubleOp<products, rounding, sums>> {
  using type = FixedDoubleOp<true, products, false>;
};
template <int rounding, bool sums>
struct FreeOpOf<RoundedExactOp<rounding, sums>> {
  using type = FixedDoubleOp<false, false, false>;
};

template <class Op>
inline constexpr bool kRoundsOrClamps =
    !std::is_same_v<Op, typename FreeOpOf<Op>::type> && !kIsLong<Op>;

template <class Op>
Op MakeOp(const SumConstants& c) {
  if constexpr (std::is_constructible_v<Op, const SumConstants&>) {
    return Op(c);
  } else {
    return Op{};
  }
}

// What looks is an op, and more: the running sums, without the accumulator's rounding, by its side
// where they are others than the sums; whether a sum is beyond the accumulator's ends, before it is
// rounded; and its size.
template <class Op>
struct FreeLooks : Op {
  static constexpr bool kKeepsRunning = false;  // the sums are the running sums
  explicit FreeLooks(const SumConstants& c) : Op(MakeOp<Op>(c)) {}
};

template <class Op>
struct FixedLooks : Op {
  static constexpr bool kKeepsRunning = true;
  using Free = typename FreeOpOf<Op>::type;
  using typename Op::Sum;
  using typename Op::V;
  using DS = hn::DFromV<Sum>;

  explicit FixedLooks(const SumConstants& c)
      : Op(c),
        free(c),
        lowest(hn::Set(DS(), static_cast<hn::TFromD<DS>>(c.lowest_sum))),
        highest(hn::Set(DS(), static_cast<hn::TFromD<DS>>(c.highest_sum))) {}

  Sum ZeroRunning() const { return free.Zero(); }
  HWY_INLINE Sum StepRunning(Sum r, V a, V b) const { return free.Step(r, a, b); }
  void StoreRunning(Sum r, std::size_t steps, double* out) const { free.Store(r, steps, out); }
  HWY_INLINE hn::Mask<DS> IsOutside(Sum s, V a, V b) const {
    Sum before;
    if constexpr (requires { Op::Before(s, a, b); }) {
      before = Op::Before(s, a, b);
    } else {
      before = free.Step(s, a, b);
    }
    return hn::Or(hn::Lt(before, lowest), hn::Gt(before, highest));
  }

  Free free;
  Sum lowest, highest;
};

template <class Op>
struct FloatLooks : Op {
  static constexpr bool kKeepsRunning = true;
  // Exact products do not fit into lanes of float32.
  static constexpr bool kTellsEnds =
      !Op::kProductsAreExact || sizeof(typename Op::T) == sizeof(double);
  using typename Op::D;
  using typename Op::Sum;
  using typename Op::T;
  using typename Op::V;

  explicit FloatLooks(const SumConstants& c)
      : Op(c),
        lowest(hn::Set(D(), static_cast<T>(-c.minifloat.sum.highest))),
        highest(hn::Set(D(), static_cast<T>(c.minifloat.sum.highest))) {}

  Sum ZeroRunning() const { return hn::Zero(D()); }
  HWY_INLINE Sum StepRunning(Sum r, V a, V b) const {
    if constexpr (Op::kProductsAreExact) return hn::MulAdd(a, b, r);
    return hn::Add(r, Op::Product(a, b));
  }
  void StoreRunning(Sum r, std::size_t steps, double* out) const { Op::Store(r, steps, out); }

  // The lanes may have rounded the sum to an end; what they lost, exactly where it is one (T.
  // Dekker's Fast2Sum), tells from which side.
  HWY_INLINE hn::Mask<D> IsOutside(Sum s, V a, V b) const {
    const V p = Op::Product(a, b), sum = Op::Before(s, a, b);
    const auto swaps = hn::Lt(hn::Abs(s), hn::Abs(p));
    const V large = hn::IfThenElse(swaps, p, s), small = hn::IfThenElse(swaps, s, p);
    const V lost = hn::Add(hn::Sub(large, sum), small);
    const V zero = hn::Zero(D());
    const auto is_above =
        hn::Or(hn::Gt(sum, highest), hn::And(hn::Eq(sum, highest), hn::Gt(lost, zero)));
    const auto is_below =
        hn::Or(hn::Lt(sum, lowest), hn::And(hn::Eq(sum, lowest), hn::Lt(lost, zero)));
    return hn::Or(is_above, is_below);
  }
  V Size(Sum s, V a, V b) const { return hn::Abs(Op::Before(s, a, b)); }

  V lowest, highest;
};

// What a loop does about sums beyond the accumulator's ends: nothing; watch whether some come near
// them; count them.
enum class Ends { open, watched, counted };

// What was found out about the sums of a tile.
struct TileLook {
  const double* running_sums() const { return has_running ? running : sums; }

  alignas(64) double sums[kPackedRows * kMostWidth];
  alignas(64) double running[kPackedRows * kMostWidth];  // at their end
  bool has_running = false;                              // else they are the sums
  std::int64_t outside[kPackedRows * kMostWidth];        // how many sums of an output were
  bool is_last_outside[kPackedRows * kMostWidth];
  SumExtremes extremes;  // of the running sums
  bool is_near = false;  // a sum comes near an end
  bool is_counted = false;
  bool counts_first = false;  // the tile before had sums outside
  double error = 0;           // of the running sums, which are no further from their definition
};

// Least and greatest of some lanes.
template <class V>
HWY_INLINE void Widen(V lowest, V highest, double unit, SumExtremes& extremes) {
  const hn::DFromV<V> d;
  const auto least = static_cast<double>(hn::GetLane(hn::MinOfLanes(d, lowest)));
  const auto greatest = static_cast<double>(hn::GetLane(hn::MaxOfLanes(d, highest)));
  extremes.lowest = std::min(extremes.lowest, unit * least);
  extremes.highest = std::max(extremes.highest, unit * greatest);
}

// Counts of lanes, of which each is the number of outputs' sums.
template <class V>
HWY_INLINE void StoreCounts(V counts, std::int64_t* out) {
  const hn::DFromV<V> d;
  using T = hn::TFromD<decltype(d)>;
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(counts, d, lanes);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) out[i] = lanes[i];
}

// The rows from `row` on, whose factors are a's: as Sum().
template <std::size_t rows, Ends ends, class Looks>
HWY_NOINLINE void LookAtRows(const Looks& given, std::size_t steps, const typename Looks::A* a,
                             const typename Looks::B* b, std::size_t row, TileLook& look) {
  const Looks looks = given;  // in registers
  using Sum = typename Looks::Sum;
  const hn::DFromV<Sum> d;
  const hn::RebindToSigned<decltype(d)> di;
  const std::size_t lanes = hn::Lanes(d), first = row * 2 * lanes;
  constexpr bool kKeepsRunning = Looks::kKeepsRunning;
  Sum s[rows][2], r[rows][2];
  hn::Vec<decltype(di)> outside[rows][2];
  for (std::size_t i = 0; i < rows; ++i) {
    s[i][0] = s[i][1] = looks.Zero();
    if constexpr (kKeepsRunning) r[i][0] = r[i][1] = looks.ZeroRunning();
    outside[i][0] = outside[i][1] = hn::Zero(di);
  }
  Sum lowest[2] = {hn::Zero(d), hn::Zero(d)}, highest[2] = {hn::Zero(d), hn::Zero(d)};
  Sum largest[2] = {hn::Zero(d), hn::Zero(d)};
  std::size_t k = 0;
  for (const std::size_t end : {steps - 1, steps}) {
    for (; k < end; ++k) {
      const auto b0 = looks.Load(b), b1 = looks.Load(b + lanes);
      b += 2 * lanes;
      HWY_UNROLL(8)
      for (std::size_t i = 0; i < rows; ++i) {
        const auto ai = looks.Broadcast(a[i]);
        HWY_UNROLL(2)
        for (std::size_t v = 0; v < 2; ++v) {
          const auto bv = v == 0 ? b0 : b1;
          if constexpr (ends == Ends::watched) {
            largest[v] = hn::Max(largest[v], looks.Size(s[i][v], ai, bv));
          }
          if constexpr (ends == Ends::counted) {
            const auto is_outside = hn::VecFromMask(d, looks.IsOutside(s[i][v], ai, bv));
            outside[i][v] = hn::Sub(outside[i][v], hn::BitCast(di, is_outside));
          }
          s[i][v] = looks.Step(s[i][v], ai, bv);
          if constexpr (kKeepsRunning) r[i][v] = looks.StepRunning(r[i][v], ai, bv);
          const Sum running = kKeepsRunning ? r[i][v] : s[i][v];
          lowest[v] = hn::Min(lowest[v], running);
          highest[v] = hn::Max(highest[v], running);
        }
      }
      a += kPackedRows;
    }
    if constexpr (ends == Ends::counted) {
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t v = 0; v < 2; ++v) {
          const std::size_t at = first + (2 * i + v) * lanes;
          std::int64_t count[HWY_MAX_BYTES / sizeof(float)];
          StoreCounts(outside[i][v], count);
          for (std::size_t j = 0; j < lanes; ++j) {
            look.is_last_outside[at + j] = k == steps && count[j] != look.outside[at + j];
            look.outside[at + j] = count[j];
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t v = 0; v < 2; ++v) {
      const std::size_t at = first + (2 * i + v) * lanes;
      looks.Store(s[i][v], steps, look.sums + at);
      if constexpr (kKeepsRunning) looks.StoreRunning(r[i][v], steps, look.running + at);
    }
  }
  double unit = looks.unit;
  if constexpr (requires { looks.free; }) unit = looks.free.unit;
  for (std::size_t v = 0; v < 2; ++v) Widen(lowest[v], highest[v], unit, look.extremes);
  if constexpr (ends == Ends::watched) {
    const auto is_far =
        hn::And(hn::Lt(largest[0], looks.highest), hn::Lt(largest[1], looks.highest));
    look.is_near |= !hn::AllTrue(d, is_far);
  }
}

// A row's running sums in float64, of lanes of float32.
template <class Looks>
HWY_NOINLINE void RunInDouble(const Looks& given, std::size_t steps, const float* a, const float* b,
                              std::size_t row, TileLook& look) {
  const Looks looks = given;  // in registers
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const typename Looks::D lane;
  const std::size_t count = hn::Lanes(d), width = 2 * hn::Lanes(lane);
  hn::Vec<decltype(d)> r[4];
  for (auto& sum : r) sum = hn::Zero(d);
  auto lowest = hn::Zero(d), highest = hn::Zero(d);
  HWY_ALIGN float products[2 * HWY_MAX_BYTES / sizeof(float)];
  for (std::size_t k = 0; k < steps; ++k, a += kPackedRows, b += width) {
    if constexpr (!Looks::kProductsAreExact) {
      const auto factor = looks.Broadcast(*a);
      hn::Store(looks.Product(factor, looks.Load(b)), lane, products);
      hn::Store(looks.Product(factor, looks.Load(b + width / 2)), lane, products + width / 2);
    }
    for (std::size_t v = 0; v < 4; ++v) {
      const float* from = Looks::kProductsAreExact ? b : products;
      auto product = hn::PromoteTo(d, hn::LoadU(df, from + v * count));
      if constexpr (Looks::kProductsAreExact) {
        product = hn::Mul(hn::Set(d, static_cast<double>(*a)), product);
      }
      r[v] = hn::Add(r[v], product);
      lowest = hn::Min(lowest, r[v]);
      highest = hn::Max(highest, r[v]);
    }
  }
  for (std::size_t v = 0; v < 4; ++v) {
    hn::StoreU(r[v], d, look.running + row * width + v * count);
  }
  Widen(lowest, highest, 1, look.extremes);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_LOOKING_SUM_INL_H_
