// A scaled format: first what groups share, then the element format's kernel with scales around its
// loop. Short groups do both while they are in the cache, the most used ones in one loop: blocks.h.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/blocks.h"
#include "tensorquant/kernels/group_scales.h"
#include "tensorquant/kernels/kernels.h"
#include "tensorquant/kernels/runs_of_scales.h"
#include "tensorquant/kernels/scaling.h"

namespace tensorquant {
namespace {

constexpr std::size_t kPiece = 2048;  // whole vectors
// The random words of an element format begin at multiples of so many elements.
constexpr std::size_t kRandomBlock = 256;
static_assert(kPartBlock % kRandomBlock == 0);
// Groups up to this length are quantized while they are in the cache.
constexpr std::size_t kShortGroup = 8192;
// Elements and columns of groups that lie side by side, which are quantized together.
constexpr std::size_t kTile = 16384;
constexpr std::size_t kFewestColumns = 256;

template <class T>
class ScaledTensor {
 public:
  ScaledTensor(const Scaled& format, std::span<const T> in, const Context& context)
      : format_(format),
        in_(in),
        grouping_(as_one_line(grouping(format.scale, in.size(), context))),
        random_(context.random()),
        rule_(format, format.scale.rule == Scale::Rule::e4m3 ? tensor_magnitude() : BitsOf<T>{0}) {}

  void quantize(std::span<T> out) const {
    if (in_.empty()) return;
    if (has_short_groups()) return quantize_units(out);
    const GroupScales<T> scales = all_scales();
    for_each_part(in_, out, [&](const Part<T>& part) {
      Workspace work;
      apply(part.first, part.count, scales, 0, part.stores, part.out, work);
    });
  }

  // The elements are what is left where every group's scale is 1.
  std::vector<T> split(std::span<T> q) const {
    GroupScales<T> scales = all_scales();
    std::vector<T> all = scales.behind;
    if (scales.is_one()) all.assign(grouping_.groups(), scales.behind[0]);
    for (T& behind : scales.behind) behind = std::isnan(behind) ? behind : T{1};
    scales.may_overflow = false;
    for_each_part(in_, q, [&](const Part<T>& part) {
      Workspace work;
      apply(part.first, part.count, scales, 0, part.stores, part.out, work);
    });
    return all;
  }

  void find_inside(std::span<bool> inside) const {
    if (in_.empty()) return;
    const GroupScales<T> scales = all_scales();
    parallel_for(in_.size(), kPartBlock, [&](std::size_t begin, std::size_t end) {
      const DefaultFloatEnvironment environment;
      std::size_t last_group = grouping_.groups();
      Bounds<T> limits = {0, 0};
      for (std::size_t i = begin; i < end; ++i) {
        const std::size_t group = grouping_.group_of(i);
        if (group != last_group) limits = rule_.limits(scales, group);
        last_group = group;
        inside[i] = limits.lowest <= in_[i] && in_[i] <= limits.highest;
      }
    });
  }

  void find_overflows(std::span<bool> over) const {
    if (in_.empty()) return;
    const GroupScales<T> scales = all_scales();
    parallel_for(in_.size(), kPartBlock, [&](std::size_t begin, std::size_t end) {
      const DefaultFloatEnvironment environment;
      for (std::size_t i = begin; i < end; ++i) {
        over[i] = rule_.overflows(scales, grouping_.group_of(i), in_[i], random_, i);
      }
    });
  }

 private:
  // What a thread works in.
  struct Workspace {
    alignas(64) std::array<T, kRandomBlock + kPiece + kWholeVectors> numbers = {};
    alignas(64) std::array<T, kPiece> before, behind, lowest, highest;
  };

  // Lines of whole blocks, one behind the other, are one.
  static Grouping as_one_line(Grouping grouping) {
    auto& [axis, block, by_index] = grouping;
    block = std::min(block, std::max<std::size_t>(axis.length, 1));
    if (by_index || axis.inner != 1 || axis.length % block != 0) return grouping;
    axis = {.outer = 1, .length = axis.outer * axis.length, .inner = 1};
    return grouping;
  }

  BitsOf<T> tensor_magnitude() const {
    std::vector<BitsOf<T>> magnitude(1);
    find_extremes_of_one(0, in_.size(), {magnitude.data()});
    return magnitude[0];
  }

  bool has_short_groups() const {
    return rule_.looks_at_extremes() && !grouping_.by_index &&
           std::min(grouping_.block, grouping_.axis.length) <= kShortGroup;
  }

  GroupScales<T> all_scales() const {
    const Scale::Rule rule = format_.scale.rule;
    if (rule == Scale::Rule::number) return rule_.of_number();
    const std::size_t groups = grouping_.groups();
    if (rule == Scale::Rule::mean) return means(groups);
    GroupExtremes<T> extremes(groups, rule_.has_zero_point());
    if (grouping_.by_index) {
      find_extremes_by_index(extremes);
    } else if (has_short_groups() || grouping_.axis.inner > 1) {
      for_each_unit(
          [&](const Unit& unit) { find_extremes(unit, extremes.view().behind(unit.first_group)); });
    } else {
      for (std::size_t group = 0; group < groups; ++group) {
        const std::size_t blocks = grouping_.blocks(), k = group % blocks * grouping_.block;
        find_extremes_of_one(group / blocks * grouping_.axis.length + k,
                             std::min(grouping_.block, grouping_.axis.length - k),
                             extremes.view().behind(group));
      }
    }
    GroupScales<T> scales(0, false);
    rule_.set(extremes, scales);
    return scales;
  }

  GroupScales<T> means(std::size_t groups) const {
    std::vector<std::size_t> begin(groups + 1);
    for (std::size_t i = 0; i < in_.size(); ++i) ++begin[grouping_.group_of(i) + 1];
    for (std::size_t g = 0; g < groups; ++g) begin[g + 1] += begin[g];
    std::vector<T> members(in_.size());
    std::vector<std::size_t> next(begin.begin(), begin.end() - 1);
    for (std::size_t i = 0; i < in_.size(); ++i) members[next[grouping_.group_of(i)]++] = in_[i];
    GroupScales<T> scales(groups, false);
    parallel_for(groups, 1, [&](std::size_t first, std::size_t last) {
      const DefaultFloatEnvironment environment;
      for (std::size_t g = first; g < last; ++g) {
        rule_.set_mean(scales, g, std::span(members).subspan(begin[g], begin[g + 1] - begin[g]));
      }
    });
    return scales;
  }

  // One group of consecutive elements, on all threads.
  void find_extremes_of_one(std::size_t first, std::size_t count, Extremes<T> extremes) const {
    std::mutex mutex;
    parallel_for(count, kPartBlock, [&](std::size_t begin, std::size_t end) {
      const DefaultFloatEnvironment environment;
      GroupExtremes<T> own(1, extremes.lowest != nullptr);
      find_extremes_of_runs(in_.data() + first + begin, 1, end - begin, own.view());
      const std::lock_guard lock(mutex);
      own.add_to(extremes);
    });
  }

  void find_extremes_by_index(GroupExtremes<T>& extremes) const {
    const std::size_t channels = grouping_.axis.length, run = grouping_.axis.inner;
    std::mutex mutex;
    parallel_for(in_.size(), run == 1 ? channels : run, [&](std::size_t begin, std::size_t end) {
      const DefaultFloatEnvironment environment;
      GroupExtremes<T> own(channels, rule_.has_zero_point());
      const T* const x = in_.data();
      if (run == 1) {
        const std::size_t rows = std::max<std::size_t>(1, kTile / channels) * channels;
        for (std::size_t i = begin; i < end; i += rows) {
          find_extremes_of_columns(x + i, channels, std::min(rows, end - i) / channels, channels,
                                   own.view());
        }
      } else {
        for (std::size_t r = begin / run; r < end / run;) {
          const std::size_t channel = r % channels;
          const std::size_t count = std::min(end / run - r, channels - channel);
          find_extremes_of_runs(x + r * run, count, run, own.view().behind(channel));
          r += count;
        }
      }
      const std::lock_guard lock(mutex);
      own.add_to(extremes.view());
    });
  }

  void find_extremes(const Unit& unit, Extremes<T> extremes) const {
    const T* const x = in_.data() + unit.begin;
    if (unit.stride > 1) {
      return find_extremes_of_columns(x, unit.groups, unit.length, unit.stride, extremes);
    }
    const std::size_t whole = unit.elements / unit.length;
    find_extremes_of_runs(x, whole, unit.length, extremes);
    if (const std::size_t rest = unit.elements % unit.length; rest > 0) {
      find_extremes_of_runs(x + whole * unit.length, 1, rest, extremes.behind(whole));
    }
  }

  // Groups along an axis, in units that fit a cache, on all threads.
  template <class Body>
  void for_each_unit(const Body& body) const {
    const auto [outer, length, inner] = grouping_.axis;
    const std::size_t plane = length * inner;
    const bool has_many = outer >= 2 * static_cast<std::size_t>(num_threads());
    const std::size_t together = has_many ? outer : 1;
    for (std::size_t o = 0; o < outer; o += together) {
      if (has_many) {
        parallel_for(in_.size(), plane, [&](std::size_t begin, std::size_t end) {
          const DefaultFloatEnvironment environment;
          for (std::size_t i = begin; i < end; i += plane) for_each_unit_of(i, 0, plane, body);
        });
      } else if (inner == 1) {
        parallel_for(plane, grouping_.block, [&](std::size_t begin, std::size_t end) {
          const DefaultFloatEnvironment environment;
          for_each_unit_of(o * plane, begin, end, body);
        });
      } else {  // columns of kFewestColumns
        const std::size_t columns = inner;
        parallel_for(plane, length * kFewestColumns, [&](std::size_t begin, std::size_t end) {
          const DefaultFloatEnvironment environment;
          for_each_tile(o * plane, begin / (plane / columns), end / (plane / columns), body);
        });
      }
    }
  }

  template <class Body>
  void for_each_unit_of(std::size_t line, std::size_t begin, std::size_t end,
                        const Body& body) const {
    if (grouping_.axis.inner > 1) return for_each_tile(line, 0, grouping_.axis.inner, body);
    // Whole blocks of a line one behind the other.
    const std::size_t block = std::min(grouping_.block, grouping_.axis.length);
    const std::size_t most = std::max<std::size_t>(1, 2 * kPiece / block) * block;
    const std::size_t first_group = line / grouping_.axis.length * grouping_.blocks();
    for (std::size_t k = begin; k < end; k += most) {
      const std::size_t elements = std::min(most, end - k);
      body(Unit{.first_group = first_group + k / block,
                .groups = (elements - 1) / block + 1,
                .begin = line + k,
                .length = block,
                .stride = 1,
                .elements = elements});
    }
  }

  // The blocks of columns [begin, end) of the plane whose first element is `plane`.
  template <class Body>
  void for_each_tile(std::size_t plane, std::size_t begin, std::size_t end,
                     const Body& body) const {
    const auto& [outer, length, inner] = grouping_.axis;
    const std::size_t block = std::min(grouping_.block, length);
    const std::size_t width =
        std::max(kFewestColumns, kTile / block / kFewestColumns * kFewestColumns);
    for (std::size_t k = 0; k < length; k += block) {
      const std::size_t rows = std::min(block, length - k);
      for (std::size_t i = begin; i < end; i += width) {
        const std::size_t columns = std::min(width, end - i);
        body(Unit{.first_group = plane / length * grouping_.blocks() + k / block * inner + i,
                  .groups = columns,
                  .begin = plane + k * inner + i,
                  .length = rows,
                  .stride = inner,
                  .elements = rows * columns,
                  .next = i + columns < end ? columns : begin + rows * inner - i});
      }
    }
  }

  // The first groups of a unit, but no shorter one. Returns how many.
  std::size_t quantize_usual_blocks(const Unit& unit, Stores stores, T* out) const {
    if (rule_.power_of_two() == nullptr) return 0;
    return quantize_blocks(rule_.element(), *rule_.power_of_two(),
                           {in_.data() + unit.begin, out + unit.begin, unit.elements / unit.length,
                            unit.length, unit.stride, stores, unit.next});
  }

  void quantize_units(std::span<T> out) const {
    const Stores stores = choose_stores(out.size_bytes(), in_.data() == out.data());
    for_each_unit([&](const Unit& whole) {
      const Unit unit = whole.behind_first(quantize_usual_blocks(whole, stores, out.data()));
      if (unit.groups == 0) return;
      thread_local Workspace work;
      thread_local GroupExtremes<T> extremes(0, false);
      extremes.reset(unit.groups, rule_.has_zero_point());
      find_extremes(unit, extremes.view());
      thread_local GroupScales<T> scales(0, false);
      rule_.set(extremes, scales);
      if (unit.stride == 1 || unit.groups == unit.stride) {
        return apply(unit.begin, unit.elements, scales, unit.first_group, stores,
                     out.data() + unit.begin, work);
      }
      if (!rule_.is_random()) {
        PartScales<T> part = scales_of_part(scales, 0);
        part.rows = unit.length;
        part.stride = unit.stride;
        return run_part(unit.begin, unit.groups, part, stores, out.data() + unit.begin);
      }
      for (std::size_t row = 0; row < unit.length; ++row) {
        const std::size_t first = unit.begin + row * unit.stride;
        apply(first, unit.groups, scales, unit.first_group, stores, out.data() + first, work);
      }
    });
  }

  // Elements [first, first + count) of the tensor to `out`. `scales` begin with those of
  // `first_group`.
  void apply(std::size_t first, std::size_t count, const GroupScales<T>& scales,
             std::size_t first_group, Stores stores, T* out, Workspace& work) const {
    for (std::size_t done = 0; done < count;) {
      const std::size_t index = first + done, left = count - done;
      const Stretch stretch = scales.is_one() ? Stretch{first_group, left, left, 1}
                                              : stretch_at(grouping_, index, left);
      if (rule_.is_random() || !stretch.is_worth_a_call()) {
        const std::size_t piece = std::min(kPiece, left);
        apply_spread(index, piece, scales, first_group, stores, out + done, work);
        done += piece;
      } else {
        PartScales<T> part = scales_of_part(scales, stretch.group - first_group);
        part.run = stretch.run;
        part.rows = stretch.rows;
        part.stride = stretch.count;
        run_part(index, stretch.count, part, stores, out + done);
        done += stretch.count * stretch.rows;
      }
    }
  }

  // With a number of each array for each element.
  void apply_spread(std::size_t index, std::size_t count, const GroupScales<T>& scales,
                    std::size_t first_group, Stores stores, T* out, Workspace& work) const {
    const auto spread = [](const Run& run, std::size_t from, std::size_t to, std::size_t n,
                           const T* values, T* all) {
      run.varies ? void(std::copy_n(values + from, n, all + to))
                 : void(std::fill_n(all + to, n, values[from]));
    };
    Runs runs(grouping_, index);
    for (std::size_t i = 0; i < count; runs.next()) {
      const Run& run = runs.run();
      const std::size_t n = std::min(run.count, count - i);
      const std::size_t group = scales.is_one() ? 0 : run.group - first_group;
      spread(run, group, i, n, scales.before.data(), work.before.data());
      spread(run, group, i, n, scales.behind.data(), work.behind.data());
      if (scales.has_limits()) {
        spread(run, group, i, n, scales.lowest.data(), work.lowest.data());
        spread(run, group, i, n, scales.highest.data(), work.highest.data());
      }
      i += n;
    }
    PartScales<T> part = scales_of_part(scales, 0);
    part.before = work.before.data();
    part.behind = work.behind.data();
    if (scales.has_limits()) {
      part.lowest = work.lowest.data();
      part.highest = work.highest.data();
    }
    rule_.is_random() ? run_random_piece(index, count, part, stores, out, work)
                      : run_part(index, count, part, stores, out);
  }

  PartScales<T> scales_of_part(const GroupScales<T>& scales, std::size_t group) const {
    PartScales<T> part = {.before = scales.before.data() + group,
                          .behind = scales.behind.data() + group,
                          .multiplies = rule_.multiplies(),
                          .keeps_nan = rule_.keeps_nan(),
                          .may_overflow = scales.may_overflow};
    if (scales.has_limits()) {
      part.lowest = scales.lowest.data() + group;
      part.highest = scales.highest.data() + group;
    }
    return part;
  }

  void run_part(std::size_t index, std::size_t count, const PartScales<T>& scales, Stores stores,
                T* out) const {
    quantize_elements({in_.data() + index, out, count, index, stores, &scales});
  }

  // Random words belong to places in the tensor, which a part of it begins at multiples of.
  void run_random_piece(std::size_t index, std::size_t count, const PartScales<T>& scales,
                        Stores stores, T* out, Workspace& work) const {
    const std::size_t lead = index % kRandomBlock;
    T* const numbers = work.numbers.data();
    scale_down(in_.data() + index, count, scales, numbers + lead);
    quantize_elements({numbers, numbers, lead + count, index - lead, Stores::cached});
    scale_up(in_.data() + index, count, scales, numbers + lead);
    quantize_part(Identity(), {}, {numbers + lead, out, count, index, stores});
  }

  void quantize_elements(const Part<T>& part) const {
    std::visit([&](const auto& f) { quantize_part(f, random_, part); }, rule_.element());
  }

  const Scaled& format_;
  std::span<const T> in_;
  Grouping grouping_;
  RandomStream random_;
  ScaleRule<T> rule_;
};

// Of ternary with means: the threshold of a group is compared with numbers that are not scaled.
bool has_own_thresholds(const Scaled& format) {
  return format.scale.rule == Scale::Rule::mean && std::holds_alternative<Ternary>(format.element);
}

template <class T>
void quantize_scaled(const Scaled& format, std::span<const T> in, std::span<T> out,
                     const Context& context) {
  const DefaultFloatEnvironment environment;
  if (has_own_thresholds(format)) return quantize_reference(format, in, out, context);
  ScaledTensor<T>(format, in, context).quantize(out);
}

template <class T>
std::vector<T> split_scaled(const Scaled& format, std::span<const T> in, std::span<T> q,
                            const Context& context) {
  const DefaultFloatEnvironment environment;
  if (!in.empty() && !has_own_thresholds(format)) {
    return ScaledTensor<T>(format, in, context).split(q);
  }
  ScaledParts<T> parts = split_reference(format, in, context);
  std::copy(parts.q.begin(), parts.q.end(), q.begin());
  return std::move(parts.scales);
}

template <class T>
void clip_scaled(const Scaled& format, std::span<const T> x, std::span<const T> dy, std::span<T> dx,
                 const Context& context) {
  const auto inside = std::make_unique<bool[]>(x.size());
  find_inside(format, x, {inside.get(), x.size()}, context);
  for (std::size_t i = 0; i < x.size(); ++i) dx[i] = inside[i] ? dy[i] : T{0};
}

}  // namespace

void quantize(const Scaled& format, std::span<const float> in, std::span<float> out,
              const Context& context) {
  quantize_scaled(format, in, out, context);
}
void quantize(const Scaled& format, std::span<const double> in, std::span<double> out,
              const Context& context) {
  quantize_scaled(format, in, out, context);
}

std::vector<float> split(const Scaled& format, std::span<const float> in, std::span<float> q,
                         const Context& context) {
  return split_scaled(format, in, q, context);
}
std::vector<double> split(const Scaled& format, std::span<const double> in, std::span<double> q,
                          const Context& context) {
  return split_scaled(format, in, q, context);
}

void find_inside(const Scaled& format, std::span<const float> x, std::span<bool> inside,
                 const Context& context) {
  const DefaultFloatEnvironment environment;
  ScaledTensor<float>(format, x, context).find_inside(inside);
}
void find_inside(const Scaled& format, std::span<const double> x, std::span<bool> inside,
                 const Context& context) {
  const DefaultFloatEnvironment environment;
  ScaledTensor<double>(format, x, context).find_inside(inside);
}

void find_overflows(const Scaled& format, std::span<const float> x, std::span<bool> over,
                    const Context& context) {
  const DefaultFloatEnvironment environment;
  ScaledTensor<float>(format, x, context).find_overflows(over);
}
void find_overflows(const Scaled& format, std::span<const double> x, std::span<bool> over,
                    const Context& context) {
  const DefaultFloatEnvironment environment;
  ScaledTensor<double>(format, x, context).find_overflows(over);
}

void clip_gradient(const Scaled& format, std::span<const float> x, std::span<const float> dy,
                   std::span<float> dx, const Context& context) {
  clip_scaled(format, x, dy, dx, context);
}
void clip_gradient(const Scaled& format, std::span<const double> x, std::span<const double> dy,
                   std::span<double> dx, const Context& context) {
  clip_scaled(format, x, dy, dx, context);
}

}  // namespace tensorquant
