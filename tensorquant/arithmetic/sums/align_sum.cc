// Sums of aligned products, as tensor cores make them, in float64. align_sum_plan.cc has the proof.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/align_sum.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr std::size_t kAlignedRows = 8;  // that share the packed columns

// A number, and 2^e for its exponent e, which is no less than `least`; 0 for 0.
struct Packed {
  float value, power;
};

HWY_INLINE Packed Pack(float q, double least) {
  if (q == 0) return {0, 0};
  const std::uint64_t exponent = to_bits(static_cast<double>(q)) & (std::uint64_t{0x7FF} << 52);
  return {q, static_cast<float>(std::max(from_bits<double>(exponent), least))};
}

// s[j] becomes the exact sum of itself and of a[k] * b[k][j] for `count` taps k, all cut towards
// zero to a multiple of 2^(E - fraction). One vector of columns; b's lines are `stride` apart.
HWY_INLINE void AddAligned(const Packed* a, const float* b, const float* powers, std::size_t stride,
                           std::size_t count, double units, double* s) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const auto load = [&](const float* from)
                        HWY_ATTR { return hn::PromoteTo(d, hn::LoadU(df, from)); };
  const auto infinity = hn::Inf(d);
  const auto sum = hn::LoadU(d, s);
  // 2^E. What is infinite or NaN has no exponent; where all are zero any one will do.
  const auto own_power = hn::And(sum, infinity);
  auto power =
      hn::Max(hn::Set(d, 0x1p-400), hn::IfThenElseZero(hn::Lt(own_power, infinity), own_power));
  for (std::size_t k = 0; k < count; ++k) {
    const auto both =
        hn::Mul(hn::Set(d, static_cast<double>(a[k].power)), load(powers + k * stride));
    power = hn::Max(power, both);
  }
  const auto scale = hn::Div(hn::Set(d, units), power);
  auto total = hn::Add(hn::Trunc(hn::Mul(sum, scale)), hn::Zero(d));  // +0 for -0
  for (std::size_t k = 0; k < count; ++k) {
    const auto product = hn::Mul(hn::Set(d, static_cast<double>(a[k].value)), load(b + k * stride));
    total = hn::Add(total, hn::Trunc(hn::Mul(product, scale)));
  }
  hn::StoreU(hn::Mul(total, hn::Mul(power, hn::Set(d, 1 / units))), d, s);
}

void RunAligned(const SumJob& job) {
  const SumsOfProducts<float>& sums = job.sums;
  const Accumulate& accumulate = job.arithmetic.accumulate;
  const std::size_t lanes = hn::Lanes(hn::ScalableTag<double>()), width = 2 * lanes;
  const std::size_t taps = sums.taps(), rows = sums.rows.size(), columns = sums.columns.size();
  const double units = std::ldexp(1.0, accumulate.fraction);
  const double least_a = std::ldexp(1.0, sums.a.min_exponent);
  const double least_b = std::ldexp(1.0, sums.b.min_exponent);
  std::vector<Packed> a(rows * taps);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < taps; ++k) {
      const auto place = static_cast<std::size_t>(sums.a.lines[i] + sums.a.taps[k]);
      a[i * taps + k] = Pack(sums.a.data[place], least_a);
    }
  }
  const std::size_t panels = (columns + width - 1) / width;
  const std::size_t work = std::max<std::size_t>(1, rows * width * taps);  // of a panel
  parallel_for(panels * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    std::vector<float> b(width * taps), powers(width * taps);
    std::vector<double> s(kAlignedRows * width);
    std::vector<std::int64_t> indices(s.size());
    for (std::size_t panel = begin / work; panel < (end + work - 1) / work; ++panel) {
      const std::size_t column = panel * width, count = std::min(width, columns - column);
      for (std::size_t i = 0; i < width * taps; ++i) {
        const std::size_t j = column + std::min(i % width, count - 1);  // the last one is repeated
        const auto place = static_cast<std::size_t>(sums.b.lines[j] + sums.b.taps[i / width]);
        const Packed packed = Pack(sums.b.data[place], least_b);
        b[i] = packed.value;
        powers[i] = packed.power;
      }
      for (std::size_t row = 0; row < rows; row += kAlignedRows) {
        const std::size_t size = std::min(kAlignedRows, rows - row);
        for (std::size_t i = 0; i < size * width; ++i) {
          indices[i] =
              sums.rows[row + i / width] + sums.columns[column + std::min(i % width, count - 1)];
        }
        std::fill(s.begin(), s.end(), 0.0);
        std::uint32_t number = 0;  // of the chunk
        const auto chunk = static_cast<std::size_t>(accumulate.chunk);
        for (std::size_t k = 0; k < taps; k += chunk, ++number) {
          const std::size_t length = std::min(chunk, taps - k);
          for (std::size_t i = 0; i < size; ++i) {
            for (std::size_t j = 0; j < width; j += lanes) {
              const std::size_t first = k * width + j;
              AddAligned(a.data() + (row + i) * taps + k, b.data() + first, powers.data() + first,
                         width, length, units, s.data() + i * width + j);
            }
          }
          round_all(job.arithmetic.accumulator, job.context.accumulator(), number, indices,
                    {s.data(), size * width});
        }
        finish_tile(job, {row, size, column, count, width}, s.data());
      }
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(RunAligned);

void run_aligned(const SumJob& job) { HWY_DYNAMIC_DISPATCH(RunAligned)(job); }

}  // namespace tensorquant
#endif  // HWY_ONCE
