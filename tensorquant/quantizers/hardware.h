#ifndef TENSORQUANT_QUANTIZERS_HARDWARE_H_
#define TENSORQUANT_QUANTIZERS_HARDWARE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tensorquant/quantizers/tap_order.h"

namespace tensorquant {

// The arithmetic of a processor, by a name that stands for an intrinsic map's value.
struct Hardware {
  struct Outer {
    std::string_view accumulator;
    std::int64_t every = 0;
  };

  std::string_view name;
  std::string_view summary;
  std::string_view product, accumulator, accumulate;
  std::optional<Outer> outer = {};
  TapOrder order = TapOrder::channel;
};

// The one list of them. Sources: MMA-Sim, arXiv:2511.10909 (tensor cores); DeepSeek-V3,
// arXiv:2412.19437, 3.3.2; OCP Microscaling Formats 1.0, 6.
const std::vector<Hardware>& hardware_list();

const Hardware* find_hardware(std::string_view name);  // null where there is none

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_HARDWARE_H_
