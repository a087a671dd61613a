#include "tensorquant/arithmetic/sums/sum_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/sum_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <vector>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/fixed_sum-inl.h"
#include "tensorquant/arithmetic/sums/integer_sum-inl.h"
#include "tensorquant/arithmetic/sums/minifloat_sum-inl.h"
#include "tensorquant/arithmetic/sums/outer_sums.h"
#include "tensorquant/arithmetic/sums/pack-inl.h"
#include "tensorquant/arithmetic/sums/scoped_rounding.h"
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
HWY_INLINE void SumTile(const SumJob& job, const Op& op, const Tile& tile, std::size_t steps,
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
  if (job.plan.kernel == SumKernel::minifloat) return;
  for (std::size_t i = 0; i < tile.rows * tile.stride; ++i) sums[i] += 0.0;
}

// The sums of a segment as the outer accumulator takes them.
HWY_INLINE void RoundAtTheEnd(const SumJob& job, std::span<double> sums) {
  if (!job.rounds_at_the_end()) return;
  if (job.constants.ends_in_float32) {
    for (double& s : sums) s = static_cast<float>(s);
  } else {
    round_all(job.arithmetic.accumulator, {}, 0, {}, sums);
  }
}

template <class Op>
void RunOp(const SumJob& job, const Op& op) {
  const std::size_t width = 2 * hn::Lanes(typename Op::D());
  const std::size_t rows = job.sums.rows.size(), columns = job.sums.columns.size();
  if (rows == 0 || columns == 0) return;
  const std::vector<std::size_t> ends =
      job.outer != nullptr ? job.outer->ends() : std::vector<std::size_t>{job.sums.taps()};
  const Steps steps(ends, Op::kTogether);
  const auto a = PackRows(op, steps, job.sums.a, job.constants.a_scale);
  const std::size_t panels = (columns + width - 1) / width;
  const std::size_t work = std::max<std::size_t>(1, rows * width * job.sums.taps() / 8);
  parallel_for(panels * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    std::vector<typename Op::B> b(width * steps.size() * Op::kTogether);
    std::vector<double> scales(job.outer != nullptr ? width * ends.size() : 0);
    alignas(64) double sums[kPackedRows * kMostWidth], t[kPackedRows * kMostWidth];
    for (std::size_t panel = begin / work; panel < (end + work - 1) / work; ++panel) {
      const std::size_t column = panel * width;
      PackColumns(op, steps, job.sums.b, column, width, b.data());
      for (std::size_t i = 0; i * width < scales.size(); ++i) {
        job.outer->copy_column_scales(i, column, std::span(scales).subspan(i * width, width));
      }
      for (std::size_t row = 0; row < rows; row += kPackedRows) {
        const Tile tile = {row, std::min(kPackedRows, rows - row), column,
                           std::min(width, columns - column), width};
        const auto* block = a.data() + row * steps.size();
        if (job.outer == nullptr) {
          SumTile(job, op, tile, steps.size(), block, b.data(), sums);
          finish_tile(job, tile, sums);
          continue;
        }
        std::fill(t, t + tile.rows * width, 0.0);
        std::size_t first = 0;
        for (std::size_t i = 0; i < ends.size(); ++i) {
          SumTile(job, op, tile, steps.ends[i] - first, block + first * kPackedRows,
                  b.data() + first * Op::kTogether * width, sums);
          first = steps.ends[i];
          RoundAtTheEnd(job, std::span(sums, tile.rows * width));
          job.outer->add(tile, i, std::span(scales).subspan(i * width, width), sums, t);
        }
        job.outer->finish(tile, t);
      }
    }
  });
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

void RunKernel(const SumJob& job) {
  const SumConstants& c = job.constants;
  const bool clamps_products = job.plan.clamps_products, clamps_sums = job.plan.clamps_sums;
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  switch (job.plan.kernel) {
    case SumKernel::integer:
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
      return With(c.rounds_products, [&](auto products) {
        With(clamps_sums, [&](auto clamps) {
          if (c.needs_double) {
            RunOp(job, MinifloatOp<double, products.value, clamps.value>(c));
          } else {
            RunOp(job, MinifloatOp<float, products.value, clamps.value>(c));
          }
        });
      });
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

void AddToOddAll(std::span<double> s, std::span<const double> x) {
  const hn::ScalableTag<double> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= s.size(); i += lanes) {
    hn::StoreU(AddToOdd(d, hn::LoadU(d, s.data() + i), hn::LoadU(d, x.data() + i)), d,
               s.data() + i);
  }
  const hn::CappedTag<double, 1> d1;
  for (; i < s.size(); ++i) {
    hn::StoreU(AddToOdd(d1, hn::LoadU(d1, s.data() + i), hn::LoadU(d1, x.data() + i)), d1,
               s.data() + i);
  }
}

// Whether AddProductToOdd is exact: nothing in it overflows or underflows.
template <class D, class V = hn::Vec<D>>
HWY_INLINE bool AreMiddling(D d, V t, V a, V b) {
  const auto is_between = [d](V x, double least, double most) HWY_ATTR {
    const V size = hn::Abs(x);
    const auto is_zero = hn::Eq(size, hn::Zero(d));
    return hn::Or(is_zero,
                  hn::And(hn::Ge(size, hn::Set(d, least)), hn::Le(size, hn::Set(d, most))));
  };
  return hn::AllTrue(
      d, hn::And(is_between(t, 0, 0x1p900),
                 hn::And(is_between(a, 0x1p-400, 0x1p400), is_between(b, 0x1p-400, 0x1p400))));
}

template <class D>
HWY_INLINE bool AddProductsAt(D d, std::size_t i, std::span<double> t, std::span<const double> a,
                              std::span<const double> b) {
  const auto at = [&](std::span<const double> x) HWY_ATTR { return hn::LoadU(d, x.data() + i); };
  if (!AreMiddling(d, at(t), at(a), at(b))) return false;
  hn::StoreU(AddProductToOdd(d, at(t), at(a), at(b)), d, t.data() + i);
  return true;
}

std::size_t AddProductsToOdd(std::span<double> t, std::span<const double> a,
                             std::span<const double> b) {
  const hn::ScalableTag<double> d;
  const hn::CappedTag<double, 1> d1;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  while (i + lanes <= t.size() && AddProductsAt(d, i, t, a, b)) i += lanes;
  while (i < t.size() && AddProductsAt(d1, i, t, a, b)) ++i;
  return i;
}

// The float32 next to t + x * y for a vector of doubles, which it stores in t; false where it
// cannot, which leaves t as it is.
template <class D>
HWY_INLINE bool AddProductToFloatAt(D d, std::size_t i, std::span<double> t,
                                    std::span<const double> x, std::span<const double> y) {
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  const hn::Rebind<float, D> df;
  const hn::RebindToUnsigned<D> du;
  const auto at = [&](std::span<const double> from)
                      HWY_ATTR { return hn::LoadU(d, from.data() + i); };
  auto sum = hn::MulAdd(at(x), at(y), at(t));
  // The float next to the double is the one next to the sum, but for a double half way between two
  // floats, which the sum may have been rounded to.
  const auto behind = hn::And(hn::BitCast(du, sum), hn::Set(du, (std::uint64_t{1} << 29) - 1));
  if (!hn::AllFalse(du, hn::Eq(behind, hn::Set(du, std::uint64_t{1} << 28)))) {
    if (!AreMiddling(d, at(t), at(x), at(y))) return false;
    sum = AddProductToOdd(d, at(t), at(x), at(y));
  }
  const auto size = hn::Abs(sum);
  const auto is_normal =
      hn::And(hn::Ge(size, hn::Set(d, 0x1p-126)), hn::Lt(size, hn::Set(d, 0x1p127)));
  const auto is_zero = hn::And(hn::Eq(size, hn::Zero(d)), hn::Eq(at(y), hn::Zero(d)));
  if (!hn::AllTrue(d, hn::Or(is_normal, is_zero))) return false;
  hn::StoreU(hn::PromoteTo(d, hn::DemoteTo(df, sum)), d, t.data() + i);
  return true;
#else
  return (void)d, (void)i, (void)t, (void)x, (void)y, false;  // no fused multiply-add
#endif
}

std::size_t AddProductsToFloat(std::span<double> t, std::span<const double> x,
                               std::span<const double> y) {
  const hn::ScalableTag<double> d;
  const hn::CappedTag<double, 1> d1;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  while (i + lanes <= t.size() && AddProductToFloatAt(d, i, t, x, y)) i += lanes;
  while (i < t.size() && AddProductToFloatAt(d1, i, t, x, y)) ++i;
  return i;
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(RunKernel);
HWY_EXPORT(HasFusedMultiplyAdd);
HWY_EXPORT(AddToOddAll);
HWY_EXPORT(AddProductsToOdd);
HWY_EXPORT(AddProductsToFloat);

bool is_by_tile(SumKernel kernel) {
  return kernel != SumKernel::reference && kernel != SumKernel::tiles &&
         kernel != SumKernel::align && kernel != SumKernel::stochastic;
}
void run_sum_kernel(const SumJob& job) { HWY_DYNAMIC_DISPATCH(RunKernel)(job); }
bool has_fused_multiply_add() { return HWY_DYNAMIC_DISPATCH(HasFusedMultiplyAdd)(); }
void add_to_odd(std::span<double> s, std::span<const double> x) {
  HWY_DYNAMIC_DISPATCH(AddToOddAll)(s, x);
}
std::size_t add_products_to_odd(std::span<double> t, std::span<const double> a,
                                std::span<const double> b) {
  return HWY_DYNAMIC_DISPATCH(AddProductsToOdd)(t, a, b);
}
std::size_t add_products_to_float(std::span<double> t, std::span<const double> x,
                                  std::span<const double> y) {
  return HWY_DYNAMIC_DISPATCH(AddProductsToFloat)(t, x, y);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
