#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

constexpr std::size_t kTileRows = 4;
constexpr std::size_t kTileColumns = 256;

// A block of outputs, all of which take each step together.
class TileSum {
 public:
  TileSum(const SumJob& job, const Tile& tile, RangeReport* report)
      : job_(job),
        tile_(tile),
        report_(report),
        keeps_product_(is_none(job.arithmetic.product) ||
                       job.arithmetic.accumulate.mode == Accumulate::Mode::fused),
        size_(tile.rows * tile.stride),
        sums_(size_),
        products_(size_),
        chunk_(job.arithmetic.accumulate.mode == Accumulate::Mode::chunk ? size_ : 0),
        running_(report != nullptr ? size_ : 0),
        indices_(size_) {
    for (std::size_t i = 0; i < tile.rows; ++i) {
      for (std::size_t j = 0; j < tile.columns; ++j) {
        indices_[i * tile.stride + j] =
            job.sums.rows[tile.row + i] + job.sums.columns[tile.column + j];
      }
    }
  }

  void run() {
    const auto taps = static_cast<std::uint32_t>(job_.sums.taps());
    for (std::uint32_t k = 0; k < taps; ++k) {
      multiply(k);
      add(k, k + 1 == taps);
    }
    if (report_ != nullptr && (job_.sums.row_bias || job_.sums.column_bias)) add_bias_to_running();
    finish_tile(job_, tile_, sums_.data(), report_);
  }

 private:
  void multiply(std::uint32_t k) {
    const Factor<float>& a = job_.sums.a;
    const Factor<float>& b = job_.sums.b;
    std::array<double, kTileColumns> column{};
    for (std::size_t j = 0; j < tile_.columns; ++j) {
      column[j] = b.data[static_cast<std::size_t>(b.lines[tile_.column + j] + b.taps[k])];
    }
    for (std::size_t i = 0; i < tile_.rows; ++i) {
      const double factor = a.data[static_cast<std::size_t>(a.lines[tile_.row + i] + a.taps[k])];
      double* product = products_.data() + i * tile_.stride;
      for (std::size_t j = 0; j < tile_.columns; ++j) product[j] = factor * column[j];
    }
    if (report_ != nullptr) count_products();
    if (!keeps_product_) {
      round_all(job_.arithmetic.product, job_.context.product(), k, indices_, products_);
    }
    if (report_ == nullptr) return;
    for_each_output([&](std::size_t i) { running_[i] += products_[i]; });
    look_at_running();
  }

  void add(std::uint32_t k, bool is_last) {
    using enum Accumulate::Mode;
    const Accumulate& accumulate = job_.arithmetic.accumulate;
    switch (accumulate.mode) {
      case once:
        for (std::size_t i = 0; i < size_; ++i) sums_[i] += products_[i];
        return;
      case step:
      case fused:
        add_to_odd(sums_, products_);
        round_sums(k, is_last);
        return;
      case chunk: {
        const auto length = static_cast<std::uint32_t>(accumulate.chunk);
        for (std::size_t i = 0; i < size_; ++i) chunk_[i] += products_[i];
        if ((k + 1) % length != 0 && !is_last) return;
        add_to_odd(sums_, chunk_);
        round_sums(k / length, is_last);
        std::fill(chunk_.begin(), chunk_.end(), 0.0);
        return;
      }
      case align:  // never planned so
        return;
    }
  }

  void round_sums(std::uint32_t tap, bool is_last_tap) {
    const GridFormat& format = job_.arithmetic.accumulator;
    const bool has_bias = job_.sums.row_bias != nullptr || job_.sums.column_bias != nullptr;
    look_at_sums(job_, tile_, sums_, is_last_tap && !has_bias, report_);
    round_all(format, job_.context.accumulator(), tap, indices_, sums_);
  }

  template <class Visit>
  void for_each_output(const Visit& visit) const {
    for (std::size_t i = 0; i < tile_.rows; ++i) {
      for (std::size_t j = 0; j < tile_.columns; ++j) visit(i * tile_.stride + j);
    }
  }

  void count_products() {
    const bool rounds = !is_none(job_.arithmetic.product);
    const Bounds<double> ends = ends_of<float>(job_.arithmetic.product);
    for_each_output([&](std::size_t i) {
      const double x = products_[i];
      if (std::isfinite(x))
        report_->largest_product = std::max(report_->largest_product, std::abs(x));
      if (keeps_product_) return;
      ++report_->products;
      if (rounds && (x < ends.lowest || x > ends.highest)) ++report_->clamped_products;
    });
  }

  void look_at_running() {
    for_each_output([&](std::size_t i) {
      if (!std::isfinite(running_[i])) return;
      report_->lowest_sum = std::min(report_->lowest_sum, running_[i]);
      report_->highest_sum = std::max(report_->highest_sum, running_[i]);
    });
  }

  void add_bias_to_running() {
    const auto& sums = job_.sums;
    for_each_output([&](std::size_t i) {
      running_[i] += sums.row_bias != nullptr ? sums.row_bias[tile_.row + i / tile_.stride]
                                              : sums.column_bias[tile_.column + i % tile_.stride];
    });
    look_at_running();
  }

  const SumJob& job_;
  const Tile tile_;
  RangeReport* report_;
  const bool keeps_product_;
  const std::size_t size_;
  std::vector<double> sums_, products_, chunk_, running_;
  std::vector<std::int64_t> indices_;
};

}  // namespace

void run_tiles(const SumJob& job, RangeReport* report) {
  const std::size_t rows = job.sums.rows.size(), columns = job.sums.columns.size();
  const std::size_t row_tiles = (rows + kTileRows - 1) / kTileRows;
  const std::size_t column_tiles = (columns + kTileColumns - 1) / kTileColumns;
  const std::size_t work =
      kTileRows * std::min(columns, kTileColumns) * std::max<std::size_t>(job.sums.taps(), 1);
  std::mutex mutex;
  parallel_for(row_tiles * column_tiles * work, work, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    RangeReport local;
    for (std::size_t i = begin / work; i < (end + work - 1) / work; ++i) {
      const std::size_t row = i / column_tiles * kTileRows;
      const std::size_t column = i % column_tiles * kTileColumns;
      const std::size_t width = std::min(kTileColumns, columns - column);
      TileSum(job, {row, std::min(kTileRows, rows - row), column, width, width},
              report != nullptr ? &local : nullptr)
          .run();
    }
    const std::lock_guard lock(mutex);
    if (report != nullptr) report->merge(local);
  });
}

}  // namespace tensorquant
