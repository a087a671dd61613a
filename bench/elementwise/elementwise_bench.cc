#include <cstdio>
#include <cstdlib>

#include "tensorquant/measure/elementwise.h"
using namespace tensorquant::measure;
int main(int argc, char** argv) {
  const std::vector<std::string> q = {"none",
                                      "nearest,16,8",
                                      "even,16,8",
                                      "zero,16,8",
                                      "down,16,8",
                                      "stochastic,16,8",
                                      "stochastic,16,8,random_bits=8",
                                      "stochastic,16,8,random_bits=16",
                                      "float,4,3",
                                      "float,5,2",
                                      "fp16",
                                      "bf16",
                                      "float,4,3,rounding=nearest",
                                      "float,4,3,rounding=zero",
                                      "float,4,3,rounding=stochastic",
                                      "float,4,3,random_bits=8,rounding=stochastic",
                                      "bf16,rounding=stochastic",
                                      "logarithmic",
                                      "logarithmic,down",
                                      "binary",
                                      "sparse,0.5",
                                      "ternary",
                                      "ternary,1,0.5"};
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  for (size_t n : {4096ul, 262144ul, 4194304ul, 67108864ul})
    for (int t : {1, 2}) {
      if (argc > 2 && (size_t)atol(argv[2]) != n) continue;
      if (argc > 3 && atoi(argv[3]) != t) continue;
      for (const auto& m : measure_elementwise(our_contenders(q, 0), n, t, rounds))
        std::printf(
            "%9zu %d %-16s %-46s %7.4f ns [%7.4f %7.4f] %6.1f GB/s  nt %5.2f memcpy %5.2f\n", n, t,
            m.name.c_str(), m.quantizer.c_str(), m.nanoseconds, m.nanoseconds_low,
            m.nanoseconds_high, m.gigabytes_per_second, m.over_streaming_copy, m.over_memcpy);
    }
}
