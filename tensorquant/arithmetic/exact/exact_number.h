#ifndef TENSORQUANT_ARITHMETIC_EXACT_EXACT_NUMBER_H_
#define TENSORQUANT_ARITHMETIC_EXACT_EXACT_NUMBER_H_

#include <optional>

#include "tensorquant/arithmetic/grid_format.h"

namespace tensorquant {

// A non-zero real number: (-1)^negative * (significand + r) * 2^exponent, where 0 < r < 1 if
// is_cut, else r = 0. Where it is cut the significand has at least 62 bits, or, modulo a power of
// two, all that reach so far below the last bit of its formats, so that r is far below what any
// format or random number can tell.
struct ExactNumber {
  bool negative = false;
  Uint128 significand = 0;  // below 2^120
  int exponent = 0;
  bool is_cut = false;
};

ExactNumber exact_number(double x);          // x is finite and not 0
int leading_exponent(const ExactNumber& x);  // floor(log2 |x|)
// x without the bits below 2^last_bit; its significand is 0 where nothing is left.
ExactNumber cut_to(ExactNumber x, int last_bit);

// a * b and a / b, and the root of a + b, which is positive; a and b as x above, b also 0 there.
// With `modulus` modulo 2^modulus, with its sign, where there is more than that.
ExactNumber exact_product(double a, double b);
ExactNumber exact_quotient(double a, double b);
ExactNumber exact_quotient(double a, double b, int modulus);
ExactNumber exact_root_of_sum(double a, double b, std::optional<int> modulus);

// x rounded once to the format, a value of it and so a double, with the format's own bounds. T,
// float or double, is the tensor's type, which only Logarithmic's default bounds and Identity look
// at: Identity rounds to T itself, ties to even. x may be given modulo 2^modulus_of(format), with
// its sign.
template <class T>
double round_exact(const GridFormat& format, const ExactNumber& x, Draw draw);

// The same for zeros, infinities and NaN, which are themselves exact.
template <class T>
double round_special(const GridFormat& format, double x);

// Either of both.
template <class T>
double round_double(const GridFormat& format, double x, Draw draw);

// a / b, whatever they are.
template <class T>
double round_quotient(const GridFormat& format, double a, double b, Draw draw);

// The format that stands for Identity where a value of type T has to be stored.
template <class T>
FloatingPoint type_format();

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_EXACT_EXACT_NUMBER_H_
