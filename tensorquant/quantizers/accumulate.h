#ifndef TENSORQUANT_QUANTIZERS_ACCUMULATE_H_
#define TENSORQUANT_QUANTIZERS_ACCUMULATE_H_

#include <cstddef>
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
    align,  // as chunk, but s and those products are first cut to a common last bit: see below
  };
  Mode mode = Mode::step;
  int chunk = 0;     // 1 or more; used by Mode::chunk and Mode::align alone
  int fraction = 0;  // 1..64; used by Mode::align alone
  bool operator==(const Accumulate&) const = default;

  // How many of so many terms are added up at once.
  std::size_t together(std::size_t terms) const {
    return mode == Mode::once                           ? terms
           : mode == Mode::chunk || mode == Mode::align ? static_cast<std::size_t>(chunk)
                                                        : 1;
  }
  // How many sums of so many terms, one or more, are rounded.
  std::size_t sums(std::size_t terms) const {
    return (terms + together(terms) - 1) / together(terms);
  }
};

// align: what tensor cores do (arXiv:2511.10909). E is the largest exponent among those of s and
// the products that are not 0; each of them is cut towards zero to a multiple of 2^(E - fraction),
// and s = A(their exact sum). The exponent of s is floor(log2 |s|), that of a product the sum of
// its factors', which max(floor(log2 |q|), the smallest normal exponent of q's format) is.
inline constexpr int kMaxAlignFraction = 64;

std::string to_string(const Accumulate& accumulate);  // "step", "chunk:8", "align:32:13"

// The inverse of to_string. Throws a SpecError that points at the fault.
Accumulate make_accumulate(std::string_view text);

// The words that make_accumulate takes, for messages.
inline constexpr std::string_view kAccumulateWords =
    R"("step", "once", "chunk:N", "align:N:F" or "fused")";

// Why the mode's numbers are wrong; empty where they are not.
std::string accumulate_fault(const Accumulate& accumulate);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_ACCUMULATE_H_
