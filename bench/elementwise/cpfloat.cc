#include <omp.h>

#include <cstddef>

#include "bench/elementwise/rivals.h"
#include "tensorquant/base/parallel.h"

// Both of cpfloat_kernel.c.
extern "C" {
void cpfloat_sequential(float* out, const float* in, std::size_t count, unsigned precision,
                        int max_exponent, int rounding);
void cpfloat_openmp(float* out, const float* in, std::size_t count, unsigned precision,
                    int max_exponent, int rounding);
}

namespace tensorquant::bench {
namespace {

// The constants of its cpfloat_rounding_t.
constexpr int kTiesAway = -1, kTiesEven = 1, kTowardZero = 4, kStochastic = 5;

template <class Quantize>
Contenders contenders(const char* name, Quantize quantize) {
  const auto contender = [&](const char* quantizer, std::vector<std::string> one_of,
                             unsigned precision, int max_exponent, int rounding) {
    return measure::Contender<float>{name, quantizer,
                                     [=](std::span<const float> in, std::span<float> out) {
                                       omp_set_num_threads(num_threads());
                                       quantize(out.data(), in.data(), in.size(), precision,
                                                max_exponent, rounding);
                                     },
                                     std::move(one_of)};
  };
  const std::vector<std::string> bits = {};
  return {contender("float,4,3", bits, 4, 7, kTiesEven),
          contender("float,4,3,rounding=nearest", bits, 4, 7, kTiesAway),
          contender("float,4,3,rounding=zero", bits, 4, 7, kTowardZero),
          contender("float,4,3,rounding=stochastic",
                    {"float,4,3,rounding=down", "float,4,3,rounding=up"}, 4, 7, kStochastic),
          contender("fp16", bits, 11, 15, kTiesEven),
          contender("bf16", bits, 8, 127, kTiesEven)};
}

}  // namespace

Contenders cpfloat_contenders() {
  Contenders all = contenders(kCpfloat, cpfloat_sequential);
  for (measure::Contender<float>& contender : all) {
    contender.threads = 1;
    contender.most_elements = kMostSerialElements;
  }
  return all;
}

Contenders cpfloat_openmp_contenders() { return contenders(kCpfloatOpenmp, cpfloat_openmp); }

}  // namespace tensorquant::bench
