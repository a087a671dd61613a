#include "tensorquant/arithmetic/sums/finish.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensorquant/arithmetic/sums/float_store.h"

namespace tensorquant {
namespace {

std::vector<double> biases_of(const SumsOfProducts<float>& sums, const Tile& tile) {
  std::vector<double> biases(tile.rows * tile.stride);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    for (std::size_t j = 0; j < tile.columns; ++j) {
      biases[i * tile.stride + j] = *sums.bias(tile.row + i, tile.column + j);
    }
  }
  return biases;
}

void copy_unconverted(const SumsOfProducts<float>& sums, const Tile& tile, const double* values) {
  for (std::size_t i = 0; i < tile.rows; ++i) {
    for (std::size_t j = 0; j < tile.columns; ++j) {
      sums.unconverted[sums.rows[tile.row + i] + sums.columns[tile.column + j]] =
          values[i * tile.stride + j];
    }
  }
}

}  // namespace

std::vector<std::int64_t> indices_of(const SumsOfProducts<float>& sums, const Tile& tile) {
  std::vector<std::int64_t> indices(tile.rows * tile.stride);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    for (std::size_t j = 0; j < tile.columns; ++j) {
      indices[i * tile.stride + j] = sums.rows[tile.row + i] + sums.columns[tile.column + j];
    }
  }
  return indices;
}

void finish_tile(const SumJob& job, const Tile& tile, double* sums, RangeReport* report) {
  const GridFormat& format = job.arithmetic.accumulator;
  const std::span<double> values(sums, tile.rows * tile.stride);
  const bool has_bias = job.sums.has_bias();
  const bool is_once = job.rounds_at_the_end();
  if (is_once || has_bias) {
    std::vector<std::int64_t> indices;
    if (is_random(format)) indices = indices_of(job.sums, tile);
    const auto round = [&](std::uint32_t tap) {
      look_at_sums(job, tile, values, tap == kBiasTap || !has_bias, report);
      round_all(format, job.context.accumulator(), tap, indices, values);
    };
    if (is_once) round(0);
    if (has_bias) {
      add_to_odd(values, biases_of(job.sums, tile));
      round(kBiasTap);
    }
  }
  if (job.sums.unconverted != nullptr) return copy_unconverted(job.sums, tile, sums);
  const FloatStore store(format, std::span(job.sums.columns).subspan(tile.column, tile.columns));
  for (std::size_t i = 0; i < tile.rows; ++i) {
    store.row(std::span<const double>(values.subspan(i * tile.stride, tile.columns)),
              job.sums.y + job.sums.rows[tile.row + i]);
  }
}

void look_at_sums(const SumJob& job, const Tile& tile, std::span<const double> values, bool is_last,
                  RangeReport* report) {
  const bool marks = is_last && job.sums.outside != nullptr;
  if (report == nullptr && !marks) return;
  const Bounds<double> ends = ends_of<float>(job.arithmetic.accumulator);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    const std::span<const double> row = values.subspan(i * tile.stride, tile.columns);
    if (report != nullptr) report->clamped_sums += count_outside(row, ends);
    if (!marks) continue;
    for (std::size_t j = 0; j < tile.columns; ++j) {
      job.sums.outside[job.sums.rows[tile.row + i] + job.sums.columns[tile.column + j]] =
          is_outside(ends, row[j]);
    }
  }
}

}  // namespace tensorquant
