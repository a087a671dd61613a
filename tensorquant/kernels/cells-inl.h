// Functions of few steps, as tables in registers. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_CELLS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_CELLS_INL_H_
#undef TENSORQUANT_KERNELS_CELLS_INL_H_
#else
#define TENSORQUANT_KERNELS_CELLS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether a lookup among 32 numbers is one instruction.
template <class T>
inline constexpr bool kHasCells = HWY_ARCH_X86&& HWY_TARGET <= HWY_AVX3 && sizeof(T) == 4;

// Numbers fall into cells, of which each has two results: one up to its border, one above.
struct Cells {
  static constexpr std::size_t kCount = 32;
  float borders[kCount], below[kCount], above[kCount];
};

// values[i] from borders[i - 1] on, not included, up to borders[i]. cell_of(border) ascends and is
// another one for each border.
template <class CellOf>
Cells MakeCells(std::span<const float> values, std::span<const float> borders,
                const CellOf& cell_of) {
  const hn::ScalableTag<float> d;
  Cells cells;
  std::size_t step = 0;
  for (std::size_t cell = 0; cell < Cells::kCount; ++cell) {
    const bool has_border =
        step < borders.size() &&
        static_cast<std::size_t>(hn::GetLane(cell_of(hn::Set(d, borders[step])))) == cell;
    cells.borders[cell] = has_border ? borders[step] : std::numeric_limits<float>::infinity();
    cells.below[cell] = values[step];
    if (has_border) ++step;
    cells.above[cell] = values[step];
  }
  return cells;
}

// table[index]
template <class VI, class V = hn::Vec<hn::ScalableTag<float>>>
HWY_INLINE V LookUp(const float* table, VI index) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  const hn::ScalableTag<float> d;
  return V{_mm512_permutex2var_ps(hn::LoadU(d, table).raw, index.raw,
                                  hn::LoadU(d, table + Cells::kCount / 2).raw)};
#else
  return hn::GatherIndex(hn::ScalableTag<float>(), table, index);
#endif
}

template <class VI, class V>
HWY_INLINE V ResultOfCell(const Cells& cells, VI cell, V x) {
  const auto is_above = hn::Gt(x, LookUp(cells.borders, cell));
  return hn::IfThenElse(is_above, LookUp(cells.above, cell), LookUp(cells.below, cell));
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_CELLS_INL_H_
