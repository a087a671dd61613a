#ifndef TENSORQUANT_QUANTIZERS_SPELLINGS_H_
#define TENSORQUANT_QUANTIZERS_SPELLINGS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tensorquant {

// What others call our formats. A quantizer string may begin with such a name in place of its own:
//   ap_fixed<W,I>, ap_fixed<W,I,Q,O> and ap_ufixed<...> of HLS: "ap_fixed<8,4,AP_RND,AP_SAT>"
//   the floats of ml_dtypes, JAX and PyTorch: "float8_e4m3fn", "torch.bfloat16"
struct Spelling {
  std::string ours;    // the beginning of our string: "nearest_up,8,4"
  std::size_t length;  // of the other name, from the string's first character on
};

// Nothing where the string does not begin with another's name. Throws a SpecError where it is one
// of HLS that has no string of ours.
std::optional<Spelling> spelling_of_others(std::string_view spec);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_SPELLINGS_H_
