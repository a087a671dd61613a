// fp16 in four roundings against the processor's own conversion, for every float32 there is.
//
//   half_precision_hardware
//
// Exit code 0: no difference, 1: some, 77: the processor has no F16C.

#include <cstdio>

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tests/exhaustive/report.h"

namespace tensorquant {
namespace {

// To binary16 and back by the instruction set F16C; `mode` is a rounding mode of _mm256_cvtps_ph.
template <int mode>
__attribute__((target("avx,f16c"))) void convert(std::span<const float> in, std::span<float> out) {
  for (std::size_t i = 0; i < in.size(); i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(&in[i]), mode);
    _mm256_storeu_ps(&out[i], _mm256_cvtph_ps(halves));
  }
}

// The number of patterns where they differ. NaN must stay NaN; its payload has no room in binary16.
template <int mode>
std::uint64_t differences(const std::string& spec) {
  const auto quantizer = make_quantizer(spec);
  Report report(spec);
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  on_threads(static_cast<int>(threads), kPatterns / kTensor, report, [&](std::uint64_t number) {
    std::vector<float> in(kTensor), out(kTensor), wanted(kTensor);
    for (std::uint32_t i = 0; i < kTensor; ++i) {
      in[i] = from_bits<float>(static_cast<std::uint32_t>(number) * kTensor + i);
    }
    quantizer->quantize(in, std::span<float>(out));
    convert<mode>(in, wanted);
    for (std::uint32_t i = 0; i < kTensor; ++i) {
      if (std::isnan(in[i]) && std::isnan(out[i])) wanted[i] = out[i];
    }
    report.compare(in, out, wanted);
  });
  std::printf("%-24s %llu patterns, %llu differ\n", spec.c_str(),
              static_cast<unsigned long long>(kPatterns),
              static_cast<unsigned long long>(report.differences()));
  return report.differences();
}

}  // namespace
}  // namespace tensorquant

int main() {
  using tensorquant::differences;
  if (!__builtin_cpu_supports("avx") || !__builtin_cpu_supports("f16c")) {
    std::puts("left out: the processor has no F16C");
    return 77;
  }
  const auto all = differences<_MM_FROUND_TO_NEAREST_INT>("fp16") +
                   differences<_MM_FROUND_TO_NEG_INF>("fp16,rounding=down") +
                   differences<_MM_FROUND_TO_POS_INF>("fp16,rounding=up") +
                   differences<_MM_FROUND_TO_ZERO>("fp16,rounding=zero");
  return all == 0 ? 0 : 1;
}

#else

int main() {
  std::puts("left out: the processor has no F16C");
  return 77;
}

#endif
