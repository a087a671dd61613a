#include "tensorquant/quantizers/hardware.h"

#include <algorithm>

namespace tensorquant {

const std::vector<Hardware>& hardware_list() {
  constexpr std::string_view kBinary32 = "float,8,23", kCut32 = "float,8,23,rounding=zero";
  constexpr std::string_view kCut22 = "float,8,13,rounding=zero";
  static const std::vector<Hardware> list = {
      {"v100_fp16", "binary16 on V100's tensor cores, sums in binary32", "none", kCut32,
       "align:4:23"},
      {"a100_fp16", "binary16 on A100's tensor cores, sums in binary32", "none", kCut32,
       "align:8:24"},
      {"h100_fp16", "binary16 and bfloat16 on H100's tensor cores, sums in binary32", "none",
       kCut32, "align:16:25"},
      {"ada_fp8", "FP8 on Ada's tensor cores: sums keep 13 bits", "none", kCut22, "align:16:13"},
      {"hopper_fp8", "FP8 on H100's tensor cores: sums keep 13 bits", "none", kCut22,
       "align:32:13"},
      {"deepseek_fp8", "hopper_fp8, added to binary32 registers every 128 products", "none", kCut22,
       "align:32:13", Hardware::Outer{kBinary32, 128}},
      {"b200_fp8", "FP8 on B200's tensor cores, sums in binary32", "none", kCut32, "align:32:25"},
      {"int8_int32", "integers added up in 32 bits that wrap, scaled to binary32 at the end",
       "none", "even,32,0,overflow=wrap", "step", Hardware::Outer{kBinary32}},
      {"mx", "OCP MX: exact sums of blocks, added up in binary32", "none", "none", "once",
       Hardware::Outer{kBinary32}, TapOrder::tap},
  };
  return list;
}

const Hardware* find_hardware(std::string_view name) {
  const auto& list = hardware_list();
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const Hardware& entry) { return entry.name == name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace tensorquant
