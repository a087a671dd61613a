// fp16 in four roundings against the processor's own conversion, for every float32 there is.
//
//   half_precision_hardware
//
// Exit code 0: no difference, 1: some, 77: the processor has no F16C.

#include <cstdio>

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {
namespace {

constexpr std::uint64_t kPatterns = std::uint64_t{1} << 32;
constexpr std::uint32_t kTensor = 16384;  // so few that the kernel stays on its caller's thread

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
  std::atomic<std::uint64_t> next = 0, count = 0;
  const auto work = [&] {
    std::vector<float> in(kTensor), out(kTensor), wanted(kTensor);
    for (std::uint64_t begin = next++ * kTensor; begin < kPatterns; begin = next++ * kTensor) {
      for (std::uint32_t i = 0; i < kTensor; ++i) {
        in[i] = from_bits<float>(static_cast<std::uint32_t>(begin) + i);
      }
      quantizer->quantize(in, std::span<float>(out));
      convert<mode>(in, wanted);
      for (std::uint32_t i = 0; i < kTensor; ++i) {
        const bool is_same = to_bits(out[i]) == to_bits(wanted[i]);
        if (is_same || (std::isnan(in[i]) && std::isnan(out[i]))) continue;
        if (count++ < 5) {
          std::printf("%s: x = %.9g (%08x): kernel %.9g, processor %.9g\n", spec.c_str(),
                      static_cast<double>(in[i]), to_bits(in[i]), static_cast<double>(out[i]),
                      static_cast<double>(wanted[i]));
        }
      }
    }
  };
  std::vector<std::thread> threads(std::max(1u, std::thread::hardware_concurrency()));
  for (std::thread& thread : threads) thread = std::thread(work);
  for (std::thread& thread : threads) thread.join();
  std::printf("%-24s %llu patterns, %llu differ\n", spec.c_str(),
              static_cast<unsigned long long>(kPatterns),
              static_cast<unsigned long long>(count.load()));
  return count;
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
