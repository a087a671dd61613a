// Quantizer strings: what parses has a canonical form that means the same, and can quantize.

#include <array>
#include <limits>
#include <span>

#include "fuzz/input.h"
#include "tensorquant/quantizers/quantizer.h"

using namespace tensorquant;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] {
    const auto quantizer = make_quantizer(Input(data, size).text());
    const auto again = make_quantizer(quantizer->spec());
    require(again->spec() == quantizer->spec(), "the canonical form is its own canonical form");
    require(*again->format() == *quantizer->format(), "the canonical form is the same format");
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const std::array<float, 6> in = {-kInfinity, -1.5f, -0.0f, 1e-45f, 3e38f, kInfinity};
    std::array<float, 6> out;
    quantizer->quantize(std::span<const float>(in), std::span<float>(out));
  });
  return 0;
}
