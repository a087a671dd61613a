#ifndef TENSORQUANT_QUANTIZERS_ACCUMULATE_H_
#define TENSORQUANT_QUANTIZERS_ACCUMULATE_H_

#include <string>
#include <string_view>

namespace tensorquant {

// How a layer with rounded arithmetic adds up its products. With s = 0 to begin with, products p_k
// and the accumulator's rounding A:
struct Accumulate {
  enum class Mode {
    step,   // s = A(s + p_k) for each k in order
    once,   // s = A(exact sum of all p_k)
    chunk,  // s = A(s + exact sum of the next `chunk` products), the last ones may be fewer
    fused,  // as step, but p_k is the exact product
  };
  Mode mode = Mode::step;
  int chunk = 0;  // 1 or more; used by Mode::chunk alone
  bool operator==(const Accumulate&) const = default;
};

std::string to_string(const Accumulate& accumulate);  // "step", "chunk:8"

// The inverse of to_string. Throws a SpecError that points at the fault.
Accumulate make_accumulate(std::string_view text);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_ACCUMULATE_H_
