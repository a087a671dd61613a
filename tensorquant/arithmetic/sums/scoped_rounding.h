#ifndef TENSORQUANT_ARITHMETIC_SUMS_SCOPED_ROUNDING_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SCOPED_ROUNDING_H_

#include <cfenv>

namespace tensorquant {

// While it lives, the machine rounds in this direction of <cfenv>. What is computed meanwhile
// stands in a function that the compiler does not inline: it knows nothing of rounding directions.
class ScopedRounding {
 public:
  explicit ScopedRounding(int direction) : changes_(direction != FE_TONEAREST) {
    if (changes_) std::fesetround(direction);
  }
  ~ScopedRounding() {
    if (changes_) std::fesetround(FE_TONEAREST);
  }
  ScopedRounding(const ScopedRounding&) = delete;
  ScopedRounding& operator=(const ScopedRounding&) = delete;

 private:
  const bool changes_;  // from the one of the kernels' DefaultFloatEnvironment
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SCOPED_ROUNDING_H_
