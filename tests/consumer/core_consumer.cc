// What a user of the core writes.
#include <cstdio>
#include <vector>

#include "tensorquant/tensorquant.h"

int main() {
  const tensorquant::QuantizerMap map({{"conv", "nearest,8,4"}, {"", "ternary"}});
  const std::vector<float> x = {0.3f, -1.0f};
  std::vector<float> y(2);
  map.find("conv1")->quantize(std::span<const float>(x), std::span<float>(y));
  std::printf("%g %g\n", y[0], y[1]);
  return y[0] == 0.3125f && y[1] == -1.0f ? 0 : 1;
}
