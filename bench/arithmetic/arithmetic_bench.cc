// What rounded arithmetic costs: a matrix product and a convolution in each format, over the time
// of OpenBLAS' sgemm for the same products, in one run. Packing, padding and unfolding count for
// us; sgemm gets its matrices ready made.

#include <cblas.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/command_line.h"
#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/layers/scaled_product.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/measure/interleaved.h"

extern "C" void openblas_set_num_threads(int threads);

namespace tensorquant::bench {
namespace {

struct Row {
  const char* name;
  const char* product;
  const char* accumulator;
  const char* accumulate;
  double scale = 1;  // of the weights; large ones saturate
  int bits = 24;     // significant bits of the factors
  // Of both factors, which are split beforehand; float32 adds up the segments.
  const char* format = nullptr;
};

constexpr Row kRows[] = {
    {"exact", "nearest,32,16", "nearest,32,16", "step", 1, 8},
    {"down", "down,16,8", "none", "once"},
    {"nearest-even", "even,16,8", "none", "once"},
    {"nearest-even, product clamp", "even,16,8", "none", "once", 256},
    {"ties away", "nearest,16,8", "none", "once"},
    {"ties away, 8-bit factors", "nearest,16,8", "none", "once", 1, 8},
    {"ties away, product clamp", "nearest,16,8", "none", "once", 256},
    {"accumulator clamp", "even,16,8", "even,16,8", "step"},
    {"finer accumulator clamp", "even,16,8", "even,20,12", "step"},
    {"both clamps", "even,16,8", "even,20,8", "step", 256},
    {"ties away, accumulator clamp", "nearest,16,8", "nearest,16,8", "step"},
    {"ties away, both clamps", "nearest,16,8", "nearest,20,8", "step", 256},
    {"wide: 24,16 into 32,16", "nearest,24,16", "nearest,32,16", "step"},
    {"wide: 32,20 into 32,16", "nearest,32,20", "nearest,32,16", "step"},
    {"minifloat accumulator", "none", "fp16", "step", 1, 12},
    {"minifloat product and accumulator", "fp16", "fp16", "step", 1, 12},
    {"stochastic product", "stochastic,16,8", "nearest,24,8", "step"},
    {"stochastic product, 8 random bits", "stochastic,16,8,random_bits=8", "nearest,24,8", "step"},
    {"minifloats of 24-bit factors", "fp16", "fp16", "step"},
    {"minifloats cut", "float,5,10,rounding=zero", "float,5,10,rounding=zero", "step"},
    {"bfloat16", "bf16", "bf16", "step", 1, 8},
    {"E4M3", "float,4,3", "float,4,3", "step", 1, 4},
    {"E4M3 into 22 bits", "float,4,3", "float,8,13", "step", 1, 4},
    {"exact into 22 bits", "none", "float,8,13", "step"},
    {"E4M3 at random", "float,4,3,rounding=stochastic", "float,8,13", "step", 1, 4},
    {"E4M3 into sums at random", "float,4,3", "float,5,10,rounding=stochastic", "step", 1, 4},
    {"stochastic throughout", "stochastic,16,8", "stochastic,16,6", "step"},
    {"general formats", "zero,16,8", "zero,16,6", "step"},
    {"wrapping sums", "zero,16,8", "even,16,6,overflow=wrap", "step"},
    {"fixed point into floats", "nearest,16,8", "fp16", "step"},
    {"posits", "posit,8", "posit,16", "step"},
    {"powers of two", "logarithmic", "logarithmic", "step"},
    {"chunks", "nearest,16,8", "fp16", "chunk:16"},
    {"int8 into int32", "none", "even,32,0,overflow=wrap", "step", 1, 24,
     "int,8,per=row,scale=max"},
    {"MXINT8", "none", "none", "once", 1, 24, "mxint8"},
    {"MXFP4", "none", "none", "once", 1, 24, "mxfp4"},
    {"MXFP8 E4M3", "none", "none", "once", 1, 24, "mxfp8_e4m3"},
    {"NVFP4", "none", "none", "once", 1, 24, "nvfp4"},
};

struct Problem {
  const char* name;
  std::int64_t m, n, k;
  bool is_convolution;  // 3 x 3, 32 channels of 16 x 16: the middle stage of ResNet-20
};
constexpr Problem kProblems[] = {
    {"512^3 product", 512, 512, 512, false},
    {"3x3 convolution, 32 channels, 16x16, batch 16", 32, 4096, 288, true}};

// Uniform in +-scale.
std::vector<float> numbers(std::size_t count, double scale, int bits, unsigned seed) {
  std::mt19937 generator(seed);
  const int end = 1 << (bits - 1);
  std::uniform_int_distribution<int> integer(-end, end - 1);
  std::vector<float> x(count);
  for (float& value : x) value = static_cast<float>(scale * integer(generator) / end);
  return x;
}

Convolution middle_stage() {
  Convolution c;
  c.batch = 16;
  c.in_channels = c.out_channels = 32;
  c.input = {16, 16};
  c.kernel = {3, 3};
  c.stride = c.dilation = c.padding_begin = c.padding_end = {1, 1};
  return c;
}

std::optional<OuterSum> outer_of(const Row& row) {
  if (row.format == nullptr) return std::nullopt;
  return OuterSum{make_quantizer("float,8,23"), 0};
}

Scales<float> scales_of(const ScalesAlongK<float>& along, std::size_t lines, std::size_t taps) {
  Scales<float> scales{along.values, {}, {}};
  for (std::size_t i = 0; i < lines; ++i) {
    scales.lines.push_back(static_cast<std::int64_t>(i) * along.stride);
  }
  for (std::size_t k = 0; k < taps; ++k) {
    scales.taps.push_back(static_cast<std::int64_t>(k) / along.block * along.step);
  }
  return scales;
}

nlohmann::ordered_json measure(const Row& row, const Problem& p, int threads, int rounds) {
  set_num_threads(threads);
  openblas_set_num_threads(threads);
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  std::vector<float> w = numbers(size(p.m * p.k), row.scale, row.bits, 1);
  std::vector<float> x = numbers(size(p.k * p.n), 1, row.bits, 2);
  std::vector<float> y(size(p.m * p.n)), z(y.size());
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer(row.product), *make_quantizer(row.accumulator),
                      make_accumulate(row.accumulate), outer_of(row));
  ScaledMatrix<float> scaled_w, scaled_x;
  MatrixScales<float> scales;
  if (row.format != nullptr) {
    using Lines = MatrixShape::Lines;
    const auto quantizer = make_quantizer(row.format);
    scaled_w = scaled_matrix<float>(*scaled_format(*quantizer), w, {p.m, p.k, Lines::rows});
    scaled_x = scaled_matrix<float>(*scaled_format(*quantizer), x, {p.k, p.n, Lines::columns});
    w = scaled_w.q;
    x = scaled_x.q;
    scales = {scaled_w.scales_along_k(), scaled_x.scales_along_k()};
  }
  const Convolution shape = middle_stage();
  SumPlan plan;
  const auto ours = [&] {
    plan = p.is_convolution
               ? convolve<float>(arithmetic, {}, shape, x.data(), w.data(), nullptr, y.data())
               : matrix_product<float>(arithmetic, {}, p.m, p.k, p.n, w.data(), x.data(), nullptr,
                                       y.data(), nullptr, scales);
  };
  const auto blas = [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(p.m),
                static_cast<int>(p.n), static_cast<int>(p.k), 1, w.data(), static_cast<int>(p.k),
                x.data(), static_cast<int>(p.n), 0, z.data(), static_cast<int>(p.n));
  };
  ours();
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
    if (row.format != nullptr) {
      sums.a.scales = scales_of(scales.data, sums.rows.size(), size(p.k));
      sums.b.scales = scales_of(scales.weights, sums.columns.size(), size(p.k));
    }
    sums.y = corner.data();
    sums_of_products_reference(arithmetic, {}, sums);
    if (std::memcmp(corner.data(), y.data(), corner.size() * sizeof(float)) != 0) {
      throw std::runtime_error(std::string(row.name) + ": not the reference's bits");
    }
  }
  std::vector<measure::Case> cases = {{"sgemm", blas}, {"ours", ours}};
  measure::run_interleaved(cases, plan.kernel == SumKernel::tiles ? 1 : rounds);
  const double seconds = measure::median(cases[1].seconds);
  return {{"problem", p.name},
          {"row", row.name},
          {"product", row.product},
          {"accumulator", row.accumulator},
          {"accumulate", row.accumulate},
          {"kernel", to_string(plan.kernel)},
          {"threads", threads},
          {"milliseconds", 1e3 * seconds},
          {"gmac_per_second", static_cast<double>(p.m * p.n * p.k) / seconds * 1e-9},
          {"over_sgemm", measure::ratio(cases[1], cases[0])},
          {"over_sgemm_low", measure::ratio(cases[1], cases[0], 0.25)},
          {"over_sgemm_high", measure::ratio(cases[1], cases[0], 0.75)}};
}

struct Choice {
  std::string row;  // a part of its name
  bool only_product = false;
  std::vector<int> threads = {1, 2};
};

void benchmark(const CommonOptions& options, const Choice& choice) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Problem& problem : kProblems) {
    if (choice.only_product && problem.is_convolution) continue;
    for (const int threads : choice.threads) {
      if (!options.as_json) std::printf("%s, %d threads\n", problem.name, threads);
      for (const Row& row : kRows) {
        if (row.format != nullptr && problem.is_convolution) continue;
        if (std::string(row.name).find(choice.row) == std::string::npos) continue;
        rows.push_back(measure(row, problem, threads, options.rounds));
        if (options.as_json) continue;
        std::printf("  %-36s %-14s %8.2f GMAC/s   %7.2f x sgemm\n", row.name,
                    rows.back()["kernel"].get<std::string>().c_str(),
                    rows.back()["gmac_per_second"].get<double>(),
                    rows.back()["over_sgemm"].get<double>());
        std::fflush(stdout);
      }
    }
  }
  if (options.as_json) std::printf("%s\n", rows.dump(2).c_str());
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  using namespace tensorquant::bench;
  CLI::App app("What rounded matrix products and convolutions cost, over OpenBLAS' sgemm.",
               "arithmetic_bench");
  CommonOptions options{.rounds = 9};
  add_common_options(app, options);
  Choice choice;
  app.add_option("--row", choice.row, "Only rows whose name has this text");
  app.add_flag("--product", choice.only_product, "Only the product, not the convolution");
  app.add_option("--threads", choice.threads, "Numbers of threads")->capture_default_str();
  return run(app, argc, argv, options, [&] { benchmark(options, choice); });
}
