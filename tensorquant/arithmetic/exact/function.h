#ifndef TENSORQUANT_ARITHMETIC_EXACT_FUNCTION_H_
#define TENSORQUANT_ARITHMETIC_EXACT_FUNCTION_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/arithmetic/exact/exact_number.h"

namespace tensorquant {

// Functions of one number. At an infinity, and where x is -0, each is its limit.
enum class Function {
  exp,
  log,  // of negative numbers NaN; so are the roots
  sqrt,
  rsqrt,        // 1 / sqrt(x)
  reciprocal,   // 1 / x
  erf,          // the error function
  tanh,         // the hyperbolic tangent
  sigmoid,      // 1 / (1 + exp(-x))
  silu,         // x sigmoid(x)
  gelu,         // x / 2 (1 + erf(x / sqrt(2)))
  gelu_tanh,    // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  softplus,     // log(1 + exp(x))
  hardsigmoid,  // min(max(x + 3, 0), 6) / 6
  hardswish,    // x hardsigmoid(x)
};

// By their names above. Throws an Error that lists them.
Function make_function(std::string_view name);
std::string to_string(Function function);
const std::vector<Function>& all_functions();

// f(x) where x or f(x) is zero, infinite or NaN, but softplus(0).
std::optional<double> known_value(Function function, double x);

// f(x) of every other x, exactly: its first hundred bits and whether there are more. They are
// found by intervals that hold it, with ever more bits until both ends agree. With `modulus`, f(x)
// is given modulo 2^modulus, with its sign, and an exp() of more than 1000 counts as infinite:
// nothing is returned. Without it, numbers beyond 2^1000 and their inverses may be any such ones.
std::optional<ExactNumber> exact_value(Function function, double x,
                                       std::optional<int> modulus = {});

// f(x) rounded once to the format: see round_exact().
template <class T>
double round_function(const GridFormat& format, Function function, double x, Draw draw);

// About f(x), at most 2^-38 of it off: from the C library, whose functions are good to some units
// of the last place, 2^-52. Also where it says otherwise in this small a part.
inline constexpr double kApproximation = 0x1p-38;
double approximation(Function function, double x);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_EXACT_FUNCTION_H_
