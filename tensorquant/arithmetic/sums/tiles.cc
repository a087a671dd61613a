#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/random_words.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/arithmetic/sums/tile_steps.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

constexpr std::size_t kTileOutputs = 512;
constexpr std::size_t kTileColumns = 256;
constexpr std::size_t kTaps = 4;  // whose products are rounded together

// Columns as the loops read them.
class PackedColumns {
 public:
  explicit PackedColumns(const Factor<float>& b) : b_(b) {}

  void set(std::size_t first, std::size_t count) {
    if (first == first_ && !packed_.empty()) return;
    first_ = first;
    stride_ = (count + kTileMargin - 1) / kTileMargin * kTileMargin;
    packed_.resize((b_.taps.size() + 1) * stride_);
    pack_columns(b_, first, stride_, packed_.data());
  }
  std::size_t stride() const { return stride_; }
  const float* at(std::size_t tap) const { return packed_.data() + tap * stride_; }

 private:
  const Factor<float>& b_;
  std::size_t first_ = 0, stride_ = 0;
  std::vector<float> packed_;
};

// A block of outputs, all of which take each step together.
class TileSum {
 public:
  TileSum(const SumJob& job, RangeReport* report)
      : job_(job),
        report_(report),
        keeps_product_(is_none(job.arithmetic.product) ||
                       job.arithmetic.accumulate.mode == Accumulate::Mode::fused),
        columns_(job.sums.b) {}

  void run(const Tile& tile) {
    tile_ = tile;
    count_ = tile.rows * tile.columns;
    size_ = (count_ + kTileMargin - 1) / kTileMargin * kTileMargin;
    sums_.assign(size_, 0.0);
    products_.resize(kTaps * size_ + kTileMargin);
    if (job_.arithmetic.accumulate.mode == Accumulate::Mode::chunk) chunk_.assign(size_, 0.0);
    if (report_ != nullptr) running_.assign(size_, 0.0);
    columns_.set(tile.column, tile.columns);
    if (is_random(job_.arithmetic.product) || is_random(job_.arithmetic.accumulator)) {
      set_random_outputs();
    }
    const auto taps = static_cast<std::uint32_t>(job_.sums.taps());
    for (std::uint32_t k = 0; k < taps; k += kTaps) {
      const std::uint32_t count = std::min<std::uint32_t>(kTaps, taps - k);
      set_products(k, count);
      add(k, count);
    }
    if (report_ != nullptr && job_.sums.has_bias()) add_bias_to_running();
    finish_tile(job_, tile_, sums_.data(), report_);
  }

 private:
  void set_random_outputs() {
    indices_ = indices_of(job_.sums, tile_);
    random_outputs_ = RandomOutputs(indices_);
    words_.resize(kTaps * size_ + kTileMargin);
  }

  // Those of products, or of sums, for lanes that round at random.
  const std::uint32_t* draw(const LaneFormat& lanes, const RandomStream& random, std::uint32_t tap,
                            std::size_t taps) {
    const std::optional<int> random_bits = random_bits_of(lanes);
    if (!random_bits) return nullptr;
    random_outputs_.draw(random, draws_half_words(*random_bits), tap, taps, size_, words_.data());
    return words_.data();
  }

  // Of the outputs, without what lies behind them.
  std::span<double> products_of(std::size_t i) {
    return std::span(products_).subspan(i * size_, count_);
  }

  void set_products(std::uint32_t k, std::uint32_t taps) {
    const Factor<float>& a = job_.sums.a;
    rows_.resize(kTaps * tile_.rows);
    for (std::size_t i = 0; i < taps; ++i) {
      for (std::size_t row = 0; row < tile_.rows; ++row) {
        rows_[i * tile_.rows + row] =
            a.data[static_cast<std::size_t>(a.lines[tile_.row + row] + a.taps[k + i])];
      }
    }
    const std::optional<LaneFormat>& lanes = job_.constants.product_lanes;
    const auto* words = lanes ? draw(*lanes, job_.context.product(), k, taps) : nullptr;
    multiply({rows_.data(), columns_.at(k), taps, tile_.rows, tile_.columns, columns_.stride()},
             lanes, words, size_, products_.data());
    if (!keeps_product_ && !lanes) round_products(k, taps);
    if (report_ == nullptr) return;
    for (std::size_t i = 0; i < taps; ++i) {  // what is behind the outputs adds up to nothing
      std::fill_n(products_.data() + i * size_ + count_, size_ - count_, 0.0);
    }
    SumExtremes extremes{report_->lowest_sum, report_->highest_sum};
    add_to_running(products_.data(), taps, size_, running_.data(), extremes);
    report_->lowest_sum = extremes.lowest;
    report_->highest_sum = extremes.highest;
  }

  void round_products(std::uint32_t k, std::uint32_t taps) {
    const GridFormat& format = job_.arithmetic.product;
    if (!is_random(format)) {
      return round_all(format, {}, 0, {}, std::span(products_).first(taps * size_));
    }
    for (std::uint32_t i = 0; i < taps; ++i) {
      round_all(format, job_.context.product(), k + i, indices_, products_of(i));
    }
  }

  void add(std::uint32_t k, std::uint32_t taps) {
    using enum Accumulate::Mode;
    const Accumulate& accumulate = job_.arithmetic.accumulate;
    switch (accumulate.mode) {
      case once:
        for (std::size_t i = 0; i < taps; ++i) add_exactly(products_of(i), sums_);
        return;
      case step:
      case fused:
        return add_rounded(products_.data(), k, taps);
      case chunk: {
        const auto length = static_cast<std::uint32_t>(accumulate.chunk);
        for (std::uint32_t i = 0; i < taps; ++i) {
          add_exactly(products_of(i), chunk_);
          const std::uint32_t next = k + i + 1;
          if (next % length != 0 && next != job_.sums.taps()) continue;
          add_rounded(chunk_.data(), (k + i) / length, 1);
          std::fill(chunk_.begin(), chunk_.end(), 0.0);
        }
        return;
      }
      case align:  // never planned so
        return;
    }
  }

  static void add_exactly(std::span<const double> x, std::span<double> to) {
    for (std::size_t i = 0; i < x.size(); ++i) to[i] += x[i];
  }

  // One addend after the other, the first of which has this number.
  void add_rounded(const double* addends, std::uint32_t number, std::uint32_t count) {
    const GridFormat& format = job_.arithmetic.accumulator;
    const bool marks = job_.sums.outside != nullptr && number + count == last_number();
    const std::uint32_t in_lanes = job_.constants.sum_lanes ? count - (marks ? 1 : 0) : 0;
    if (in_lanes > 0) add_in_lanes(addends, number, in_lanes);
    const std::span<double> sums = std::span(sums_).first(count_);
    for (std::uint32_t i = in_lanes; i < count; ++i) {
      add_to_odd(sums, {addends + i * size_, count_});
      look_at_sums(job_, tile_, sums, number + i + 1 == last_number() && !job_.sums.has_bias(),
                   report_);
      round_all(format, job_.context.accumulator(), number + i, indices_, sums);
    }
  }

  void add_in_lanes(const double* values, std::uint32_t number, std::uint32_t count) {
    const LaneFormat& lanes = *job_.constants.sum_lanes;
    const bool to_odd = job_.constants.adds_to_odd;
    const auto* words = draw(lanes, job_.context.accumulator(), number, count);
    const TileAddends addends{values, words, count, size_};
    if (report_ == nullptr) return add_up(addends, lanes, to_odd, sums_.data());
    report_->clamped_sums += add_up_and_count(
        addends, lanes, to_odd, ends_of<float>(job_.arithmetic.accumulator), sums_.data());
  }

  std::size_t last_number() const { return job_.arithmetic.accumulate.sums(job_.sums.taps()); }

  void add_bias_to_running() {
    const auto& sums = job_.sums;
    for (std::size_t i = 0; i < count_; ++i) {
      running_[i] += *sums.bias(tile_.row + i / tile_.columns, tile_.column + i % tile_.columns);
      if (!std::isfinite(running_[i])) continue;
      report_->lowest_sum = std::min(report_->lowest_sum, running_[i]);
      report_->highest_sum = std::max(report_->highest_sum, running_[i]);
    }
  }

  const SumJob& job_;
  RangeReport* const report_;
  const bool keeps_product_;
  PackedColumns columns_;
  Tile tile_ = {};
  std::size_t count_ = 0;  // of outputs
  std::size_t size_ = 0;   // with what the loops compute behind them
  std::vector<double> sums_, products_, chunk_, running_;
  std::vector<float> rows_;
  std::vector<std::int64_t> indices_;  // for random rounding alone, as the next ones
  RandomOutputs random_outputs_;
  std::vector<std::uint32_t> words_;
};

}  // namespace

void run_tiles(const SumJob& job, RangeReport* report) {
  const std::size_t rows = job.sums.rows.size(), columns = job.sums.columns.size();
  const std::size_t height = std::min(rows, kTileOutputs / std::min(columns, kTileColumns));
  const std::size_t row_tiles = (rows + height - 1) / height;
  const std::size_t column_tiles = (columns + kTileColumns - 1) / kTileColumns;
  const std::size_t work =
      height * std::min(columns, kTileColumns) * std::max<std::size_t>(job.sums.taps(), 1);
  std::mutex mutex;
  parallel_for(row_tiles * column_tiles * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    RangeReport local;
    TileSum sum(job, report != nullptr ? &local : nullptr);
    for (std::size_t i = begin / work; i < (end + work - 1) / work; ++i) {
      const std::size_t column = i / row_tiles * kTileColumns;
      const std::size_t row = i % row_tiles * height;
      const std::size_t width = std::min(kTileColumns, columns - column);
      sum.run({row, std::min(height, rows - row), column, width, width});
    }
    const std::lock_guard lock(mutex);
    if (report != nullptr) report->merge(local);
  });
}

}  // namespace tensorquant
