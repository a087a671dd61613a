#ifndef TENSORQUANT_BENCH_ELEMENTWISE_RIVALS_H_
#define TENSORQUANT_BENCH_ELEMENTWISE_RIVALS_H_

#include <vector>

#include "tensorquant/measure/elementwise.h"

// What other libraries compute of our quantizers, one file a library. Those that this build has are
// all_rivals().
namespace tensorquant::bench {

inline constexpr const char* kLibtorch = "libtorch";
inline constexpr const char* kCpfloat = "CPFloat";
inline constexpr const char* kCpfloatOpenmp = "CPFloat, OpenMP";
inline constexpr const char* kQpytorch = "QPyTorch";
inline constexpr const char* kOriginal = "original TensorQuant";

using Contenders = std::vector<measure::Contender<float>>;

Contenders libtorch_contenders();
Contenders cpfloat_contenders();
Contenders cpfloat_openmp_contenders();
Contenders qpytorch_contenders();
Contenders original_contenders();

// A rival of one thread takes so many elements at most: it would hold up all others.
inline constexpr std::size_t kMostSerialElements = std::size_t{1} << 22;

inline Contenders all_rivals() {
  Contenders all;
  [[maybe_unused]] const auto add = [&](Contenders some) {
    all.insert(all.end(), some.begin(), some.end());
  };
#ifdef TENSORQUANT_BENCH_HAS_LIBTORCH
  add(libtorch_contenders());
#endif
#ifdef TENSORQUANT_BENCH_HAS_CPFLOAT
  add(cpfloat_contenders());
  add(cpfloat_openmp_contenders());
#endif
#ifdef TENSORQUANT_BENCH_HAS_QPYTORCH
  add(qpytorch_contenders());
#endif
#ifdef TENSORQUANT_BENCH_HAS_ORIGINAL
  add(original_contenders());
#endif
  return all;
}

}  // namespace tensorquant::bench

#endif  // TENSORQUANT_BENCH_ELEMENTWISE_RIVALS_H_
