// What rounded arithmetic costs: a matrix product and a convolution in each format, over the time of
// OpenBLAS' sgemm for the same products, in one run. Packing, padding and unfolding count for us;
// sgemm gets its matrices ready made.
//
//   arithmetic_bench [--json] [ROUNDS]

#include <cblas.h>
#include <omp.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/interleaved.h"
#include "tensorquant/arithmetic/convolution.h"

extern "C" void openblas_set_num_threads(int threads);

namespace tensorquant::bench {
namespace {

struct Row {
  const char* name;
  const char* product;
  const char* accumulator;
  const char* accumulate;
  const char* kernel;   // which is asserted
  double scale = 1;     // of the weights; large ones saturate
  bool any_bits = false;  // factors of 24 significant bits
};

// Narrow accumulators that clamp have a range of 2^11, wide ones of 2^15.
constexpr Row kRows[] = {
    {"exact", "nearest,32,16", "nearest,32,16", "step", "exact"},
    {"down", "down,16,8", "none", "once", "fixed_int"},
    {"nearest-even", "even,16,8", "none", "once", "fixed_int"},
    {"nearest-even, product clamp", "even,16,8", "none", "once", "fixed_int", 64},
    {"ties away", "nearest,16,8", "none", "once", "fixed_float", 1, true},
    {"ties away, 8-bit factors", "nearest,16,8", "none", "once", "fixed_int"},
    {"ties away, product clamp", "nearest,16,8", "none", "once", "fixed_double", 64, true},
    {"accumulator clamp", "even,16,8", "even,16,8", "step", "fixed_int"},
    {"finer accumulator clamp", "even,16,8", "even,20,12", "step", "fixed_int"},
    {"both clamps", "even,16,8", "even,20,8", "step", "fixed_int", 64},
    {"ties away, accumulator clamp", "nearest,16,8", "nearest,16,8", "step", "fixed_float", 1, true},
    {"ties away, both clamps", "nearest,16,8", "nearest,20,8", "step", "fixed_float", 64, true},
    {"wide: 32,20 into 32,16", "nearest,32,20", "nearest,32,16", "step", "fixed_double", 1, true},
    {"minifloat accumulator", "none", "fp16", "step", "tiles", 1, true},
    {"minifloat product and accumulator", "fp16", "fp16", "step", "minifloat"},
    {"stochastic product", "stochastic,16,8", "nearest,24,8", "step", "tiles"},
    {"general formats", "zero,16,8", "zero,16,6", "step", "tiles"},
};

struct Problem {
  const char* name;
  std::int64_t m, n, k;
  bool is_convolution;  // 3 x 3, 32 channels of 16 x 16: the middle stage of ResNet-20
};
constexpr Problem kProblems[] = {{"512^3 product", 512, 512, 512, false},
                                 {"3x3 convolution, 32 channels, 16x16, batch 16", 32, 4096, 288,
                                  true}};

std::vector<float> numbers(std::size_t count, double scale, bool any_bits, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> x(count);
  std::uniform_int_distribution<int> integer(-64, 63);
  std::uniform_real_distribution<float> real(-1, 1);
  for (float& value : x) {
    value = static_cast<float>(scale) *
            (any_bits ? real(generator) : static_cast<float>(integer(generator)) / 64);
  }
  return x;
}

Convolution middle_stage() {
  Convolution c;
  c.batch = 16;
  c.in_channels = c.out_channels = 32;
  c.input = {16, 16};
  c.kernel = {3, 3};
  c.stride = c.dilation = c.padding = c.padding_end = {1, 1};
  return c;
}

nlohmann::ordered_json measure(const Row& row, const Problem& p, int threads, int rounds) {
  omp_set_num_threads(threads);
  openblas_set_num_threads(threads);
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  const std::vector<float> w = numbers(size(p.m * p.k), row.scale, row.any_bits, 1);
  const std::vector<float> x = numbers(size(p.k * p.n), 1, row.any_bits, 2);
  std::vector<float> y(size(p.m * p.n)), z(y.size());
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer(row.product), *make_quantizer(row.accumulator),
                      make_accumulate(row.accumulate));
  const Convolution shape = middle_stage();
  SumPlan plan;
  const auto ours = [&] {
    plan = p.is_convolution ? convolve<float>(arithmetic, {}, shape, x.data(), w.data(), nullptr,
                                              y.data())
                            : matrix_product<float>(arithmetic, {}, p.m, p.k, p.n, w.data(),
                                                    x.data(), nullptr, y.data());
  };
  const auto blas = [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(p.m),
                static_cast<int>(p.n), static_cast<int>(p.k), 1, w.data(), static_cast<int>(p.k),
                x.data(), static_cast<int>(p.n), 0, z.data(), static_cast<int>(p.n));
  };
  ours();
  if (to_string(plan.kernel) != row.kernel) {
    throw std::runtime_error(std::string(row.name) + ": kernel " + to_string(plan.kernel) + " (" +
                             plan.reason + "), expected " + row.kernel);
  }
  if (!p.is_convolution) {  // against the reference, on a corner of it
    const std::int64_t part = 8;
    std::vector<float> corner(size(part * p.n));
    SumsOfProducts<float> sums;
    sums.a.data = w;
    sums.b.data = x;
    for (std::int64_t k = 0; k < p.k; ++k) {
      sums.a.taps.push_back(k);
      sums.b.taps.push_back(k * p.n);
    }
    for (std::int64_t i = 0; i < part; ++i) {
      sums.a.lines.push_back(i * p.k);
      sums.rows.push_back(i * p.n);
    }
    for (std::int64_t j = 0; j < p.n; ++j) {
      sums.b.lines.push_back(j);
      sums.columns.push_back(j);
    }
    sums.y = corner.data();
    sums_of_products_reference(arithmetic, {}, sums);
    if (std::memcmp(corner.data(), y.data(), corner.size() * sizeof(float)) != 0) {
      throw std::runtime_error(std::string(row.name) + ": not the reference's bits");
    }
  }
  std::vector<Case> cases = {{"sgemm", blas}, {"ours", ours}};
  run_interleaved(cases, rounds);
  const double seconds = median(cases[1].seconds);
  return {{"problem", p.name},
          {"row", row.name},
          {"product", row.product},
          {"accumulator", row.accumulator},
          {"accumulate", row.accumulate},
          {"kernel", row.kernel},
          {"threads", threads},
          {"milliseconds", 1e3 * seconds},
          {"gmac_per_second", static_cast<double>(p.m * p.n * p.k) / seconds * 1e-9},
          {"over_sgemm", ratio(cases[1], cases[0])}};
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  bool as_json = false;
  int rounds = 9;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      as_json = true;
    } else {
      rounds = std::max(std::atoi(argv[i]), 1);
    }
  }
  using namespace tensorquant::bench;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Problem& problem : kProblems) {
    for (const int threads : {1, 2}) {
      if (!as_json) std::printf("%s, %d threads\n", problem.name, threads);
      for (const Row& row : kRows) {
        const bool is_slow = std::strcmp(row.kernel, "tiles") == 0;
        rows.push_back(measure(row, problem, threads, is_slow ? 1 : rounds));
        if (as_json) continue;
        std::printf("  %-36s %-14s %8.2f GMAC/s   %7.2f x sgemm\n", row.name, row.kernel,
                    rows.back()["gmac_per_second"].get<double>(),
                    rows.back()["over_sgemm"].get<double>());
        std::fflush(stdout);
      }
    }
  }
  if (as_json) std::printf("%s\n", rows.dump(2).c_str());
}
