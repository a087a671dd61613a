#ifndef TENSORQUANT_QUANTIZERS_FORMAT_LIST_H_
#define TENSORQUANT_QUANTIZERS_FORMAT_LIST_H_

#include <string_view>
#include <vector>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// A name that a quantizer string can start with. The one list of them is what the parser,
// `tensorquant list`, the tests and the benchmarks expand.
struct FormatEntry {
  // Which arguments a string has.
  enum class Shape {
    given,        // all of the format
    implied,      // none, the name itself says them: "fp16"
    integer,      // of fixed point: W, and "unsigned"; F = 0
    block_float,  // of fixed point: W; F = W - 2
  };

  std::string_view name;
  // What the name stands for; the string's arguments and keywords fill in the rest.
  Format prototype;
  Shape shape;
  std::string_view summary;
  std::vector<std::string_view> examples;  // strings that together reach every path of the kernels
};

const std::vector<FormatEntry>& format_list();

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_FORMAT_LIST_H_
