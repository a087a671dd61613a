#ifndef TENSORQUANT_QUANTIZERS_FORMAT_LIST_H_
#define TENSORQUANT_QUANTIZERS_FORMAT_LIST_H_

#include <string_view>
#include <vector>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// A name that a quantizer string can start with. The one list of them is what the parser,
// `tensorquant list`, the tests and the benchmarks expand.
struct FormatEntry {
  std::string_view name;
  Format
      prototype;  // what the name stands for; the string's arguments and keywords fill in the rest
  bool takes_shape;  // false where the name itself gives the arguments, as in "fp16"
  std::string_view summary;
  std::vector<std::string_view> examples;  // strings that together reach every path of the kernels
};

const std::vector<FormatEntry>& format_list();

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_FORMAT_LIST_H_
