#include "tensorquant/arithmetic/sums/sum_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/sum_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <vector>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/fixed_sum-inl.h"
#include "tensorquant/arithmetic/sums/minifloat_sum-inl.h"
#include "tensorquant/arithmetic/sums/scoped_rounding.h"
#include "tensorquant/arithmetic/sums/stochastic_sum-inl.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// Rows of a that are packed together, and the registers' block: kRows rows by two vectors.
inline constexpr std::size_t kPackedRows = 8;
inline constexpr std::size_t kRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

// sums[i][j] = op's sum of a(i, k) * b(k, j) over k, for `rows` rows and two vectors of columns.
// a is packed by kPackedRows, b by columns.
template <std::size_t rows, class Op>
HWY_NOINLINE void Sum(const Op& given, std::size_t taps, const typename Op::T* a, const float* b,
                      double* sums) {
  const Op op = given;  // in registers
  const typename Op::D d;
  const std::size_t lanes = hn::Lanes(d);
  typename Op::Sum s[rows][2];
  for (std::size_t i = 0; i < rows; ++i) s[i][0] = s[i][1] = op.Zero();
  for (std::size_t k = 0; k < taps; ++k) {
    const auto b0 = op.Load(b), b1 = op.Load(b + lanes);
    b += 2 * lanes;
    HWY_UNROLL(8)
    for (std::size_t i = 0; i < rows; ++i) {
      const auto ai = hn::Set(d, a[i]);
      s[i][0] = op.Step(s[i][0], ai, b0);
      s[i][1] = op.Step(s[i][1], ai, b1);
    }
    a += kPackedRows;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    op.Store(s[i][0], taps, sums + 2 * lanes * i);
    op.Store(s[i][1], taps, sums + 2 * lanes * i + lanes);
  }
}

// The columns [first, first + width) of b, tap by tap; columns beyond the last repeat it.
HWY_INLINE void PackColumns(const Factor<float>& b, std::size_t first, std::size_t width,
                            float* packed) {
  constexpr std::size_t kRun = 4;  // columns that are copied at once where they are neighbours
  const std::size_t last = b.lines.size() - 1;
  std::int64_t offset[64];
  bool is_run[16];
  for (std::size_t j = 0; j < width; ++j) offset[j] = b.lines[std::min(first + j, last)];
  bool is_one_run = true;
  for (std::size_t r = 0; r < width / kRun; ++r) {
    const std::int64_t* o = offset + r * kRun;
    is_run[r] = o[1] == o[0] + 1 && o[2] == o[0] + 2 && o[3] == o[0] + 3;
    is_one_run = is_one_run && is_run[r] && o[0] == offset[0] + static_cast<int>(r * kRun);
  }
  for (const std::int64_t tap : b.taps) {
    const float* from = b.data.data() + tap;
    if (is_one_run) {
      std::memcpy(packed, from + offset[0], width * sizeof(float));
    } else {
      for (std::size_t r = 0; r < width / kRun; ++r) {
        const std::int64_t* o = offset + r * kRun;
        float* to = packed + r * kRun;
        if (is_run[r]) {
          std::memcpy(to, from + o[0], kRun * sizeof(float));
        } else {
          for (std::size_t j = 0; j < kRun; ++j) to[j] = from[o[j]];
        }
      }
    }
    packed += width;
  }
}

template <class T>
std::vector<T> PackRows(const Factor<float>& a, double scale) {
  const std::size_t taps = a.taps.size(), rows = a.lines.size();
  const std::size_t blocks = (rows + kPackedRows - 1) / kPackedRows;
  std::vector<T> packed(blocks * kPackedRows * taps);
  for (std::size_t i = 0; i < rows; ++i) {
    T* to = packed.data() + i / kPackedRows * kPackedRows * taps + i % kPackedRows;
    const float* from = a.data.data() + a.lines[i];
    for (std::size_t k = 0; k < taps; ++k) {
      to[k * kPackedRows] = static_cast<T>(scale * static_cast<double>(from[a.taps[k]]));
    }
  }
  return packed;
}

template <class Op>
void RunOp(const SumJob& job, const Op& op) {
  using T = typename Op::T;
  const std::size_t width = 2 * hn::Lanes(typename Op::D());
  const std::size_t taps = job.sums.taps(), rows = job.sums.rows.size();
  const std::size_t columns = job.sums.columns.size();
  if (rows == 0 || columns == 0) return;
  const std::vector<T> a = PackRows<T>(job.sums.a, job.constants.a_scale);
  const std::size_t panels = (columns + width - 1) / width;
  const std::size_t work = std::max<std::size_t>(1, rows * width * taps / 8);  // of a panel
  parallel_for(panels * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    std::vector<float> b(width * taps);
    alignas(64) double sums[kPackedRows * 64];
    for (std::size_t panel = begin / work; panel < (end + work - 1) / work; ++panel) {
      const std::size_t column = panel * width;
      PackColumns(job.sums.b, column, width, b.data());
      for (std::size_t row = 0; row < rows; row += kPackedRows) {
        const std::size_t size = std::min(kPackedRows, rows - row);
        const T* block = a.data() + row * taps;
        {
          const ScopedRounding rounding(job.constants.machine_rounding);
          std::size_t i = 0;
          for (; size - i > kRows / 2; i = std::min(i + kRows, size)) {
            Sum<kRows>(op, taps, block + i, b.data(), sums + i * width);
          }
          for (; i < size; ++i) Sum<1>(op, taps, block + i, b.data(), sums + i * width);
        }
        // Fixed point has one zero; rounding down, the machine makes -0 even of x - x.
        if (job.plan.kernel != SumKernel::minifloat) {
          for (std::size_t i = 0; i < size * width; ++i) sums[i] += 0.0;
        }
        finish_tile(job, {row, size, column, std::min(width, columns - column), width}, sums);
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

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(RunKernel);
HWY_EXPORT(HasFusedMultiplyAdd);
HWY_EXPORT(AddToOddAll);
HWY_EXPORT(AddProductsToOdd);

void run_sum_kernel(const SumJob& job) { HWY_DYNAMIC_DISPATCH(RunKernel)(job); }
bool has_fused_multiply_add() { return HWY_DYNAMIC_DISPATCH(HasFusedMultiplyAdd)(); }
void add_to_odd(std::span<double> s, std::span<const double> x) {
  HWY_DYNAMIC_DISPATCH(AddToOddAll)(s, x);
}
std::size_t add_products_to_odd(std::span<double> t, std::span<const double> a,
                                std::span<const double> b) {
  return HWY_DYNAMIC_DISPATCH(AddProductsToOdd)(t, a, b);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
