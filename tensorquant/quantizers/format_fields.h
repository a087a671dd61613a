#ifndef TENSORQUANT_QUANTIZERS_FORMAT_FIELDS_H_
#define TENSORQUANT_QUANTIZERS_FORMAT_FIELDS_H_

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// What a quantizer string says of each format, told once for those who read, write and explain the
// strings. A visitor has:
//   argument(meaning, integer, lowest, highest)      must be given
//   argument(meaning, number)                        must be given, >= 0
//   optional_argument(meaning, number or optional)   may be left out: 1, or nothing
//   optional_argument(meaning, integer, when_left_out, lowest, highest)
//   optional_argument(meaning, value, choices)       may be left out: the first choice
//   flag(word, value)                                an argument, true where it is given
//   flag_just_when(condition, word, value)           an argument that must be there where fields
//   before it say so, and nowhere else
//   keyword(name, integer, when_left_out, lowest, highest)
//   keyword(name, value, choices)                    left out: the first choice
//   keyword_when(condition, ...)                     there only where fields before it say so
//   shape_keyword(...)                               as keyword(), but a name such as "fp16"
//   implies it
// What a field may be can depend on those before it. A name in the list of formats can have another
// choice where a keyword is left out.
// Arguments that a name such as "fp16" implies are argument()s.

template <class E>
struct Choice {
  std::string_view word;
  E value;
};

inline constexpr std::array<Choice<Rounding>, 10> kRoundings = {
    {{"even", Rounding::even},
     {"nearest", Rounding::nearest},
     {"nearest_up", Rounding::nearest_up},
     {"nearest_down", Rounding::nearest_down},
     {"nearest_zero", Rounding::nearest_zero},
     {"zero", Rounding::zero},
     {"down", Rounding::down},
     {"up", Rounding::up},
     {"odd", Rounding::odd},
     {"stochastic", Rounding::stochastic}}};

template <class V>
void visit_fields(Identity&, V&) {}

template <class V>
void visit_overflow(FixedPoint& format, V& visitor) {
  using enum FixedPoint::Overflow;
  if (format.is_unsigned) {
    visitor.keyword("overflow", format.overflow,
                    std::array<Choice<FixedPoint::Overflow>, 3>{
                        {{"saturate", saturate}, {"wrap", wrap}, {"zero", zero}}});
  } else {
    visitor.keyword(
        "overflow", format.overflow,
        std::array<Choice<FixedPoint::Overflow>, 5>{{{"saturate", saturate},
                                                     {"wrap", wrap},
                                                     {"symmetric", symmetric},
                                                     {"zero", zero},
                                                     {"sign_magnitude", sign_magnitude}}});
  }
}

template <class V>
void visit_fields(FixedPoint& format, V& visitor) {
  visitor.argument("W", format.bits, 1, 64);
  visitor.argument("F", format.fraction, -64, 64);
  visitor.flag("unsigned", format.is_unsigned);
  visit_overflow(format, visitor);
  if (is_random(format)) visitor.keyword("random_bits", format.random_bits, 0, 1, 24);
}

// Of formats whose name does not say how they round.
template <class F, class V>
void visit_rounding(F& format, V& visitor) {
  visitor.keyword("rounding", format.rounding, kRoundings);
  visitor.keyword_when(is_random(format), "random_bits", format.random_bits, 0, 1, 24);
}

// Names of fixed point that imply the place of the point, but not how to round: F = 0, or F = W
// - 2.
template <class V>
void visit_integer_fields(FixedPoint& format, V& visitor) {
  visitor.argument("W", format.bits, 1, 64);
  format.fraction = 0;
  visitor.flag("unsigned", format.is_unsigned);
  visit_overflow(format, visitor);
  visit_rounding(format, visitor);
}
template <class V>
void visit_block_float_fields(FixedPoint& format, V& visitor) {
  visitor.argument("W", format.bits, 2, 64);
  format.fraction = format.bits - 2;
  visit_overflow(format, visitor);
  visit_rounding(format, visitor);
}

template <class V>
void visit_fields(FloatingPoint& format, V& visitor) {
  using Special = FloatingPoint::Special;
  using Overflow = FloatingPoint::Overflow;
  visitor.argument("E", format.exponent_bits, 2, 8);
  visitor.argument("M", format.significand_bits, 1, 23);
  if (format.exponent_bits < 8) {
    visitor.shape_keyword("special", format.special,
                          std::array<Choice<Special>, 4>{{{"ieee", Special::ieee},
                                                          {"fn", Special::fn},
                                                          {"finite", Special::finite},
                                                          {"fnuz", Special::fnuz}}});
  } else if (format.significand_bits < 23) {  // the others have values beyond float32's
    visitor.shape_keyword(
        "special", format.special,
        std::array<Choice<Special>, 2>{{{"ieee", Special::ieee}, {"fnuz", Special::fnuz}}});
  } else {  // and fnuz has 2^-150
    visitor.shape_keyword("special", format.special,
                          std::array<Choice<Special>, 1>{{{"ieee", Special::ieee}}});
  }
  // All values are those of float32.
  visitor.shape_keyword("bias", format.own_bias, 0, std::max(1, format.max_field() - 127),
                        std::min((1 << format.exponent_bits) - 2, 150 - format.significand_bits));
  if (format.own_bias == format.default_bias()) format.own_bias = 0;
  switch (format.special) {
    case Special::ieee:
      visitor.keyword("overflow", format.overflow,
                      std::array<Choice<Overflow>, 3>{{{"infinity", Overflow::infinity},
                                                       {"saturate", Overflow::saturate},
                                                       {"propagate", Overflow::propagate}}});
      break;
    case Special::fn:
    case Special::fnuz:
      if (format.overflow == Overflow::infinity) format.overflow = Overflow::saturate;
      visitor.keyword("overflow", format.overflow,
                      std::array<Choice<Overflow>, 2>{
                          {{"saturate", Overflow::saturate}, {"nan", Overflow::nan}}});
      break;
    case Special::finite:
      format.overflow = Overflow::saturate;
      visitor.keyword("overflow", format.overflow,
                      std::array<Choice<Overflow>, 1>{{{"saturate", Overflow::saturate}}});
      break;
  }
  visit_rounding(format, visitor);
}

template <class V>
void visit_fields(P3109& format, V& visitor) {
  using Overflow = P3109::Overflow;
  visitor.argument("K", format.bits, 2, 16);
  visitor.argument("P", format.precision, std::max(1, format.bits - 7), format.bits - 1);
  visitor.flag("unsigned", format.is_unsigned);
  visitor.keyword("domain", format.domain,
                  std::array<Choice<P3109::Domain>, 2>{
                      {{"extended", P3109::Domain::extended}, {"finite", P3109::Domain::finite}}});
  if (format.domain == P3109::Domain::extended) {
    visitor.keyword("overflow", format.overflow,
                    std::array<Choice<Overflow>, 3>{{{"infinity", Overflow::infinity},
                                                     {"saturate", Overflow::saturate},
                                                     {"propagate", Overflow::propagate}}});
  } else {
    format.overflow = Overflow::saturate;
    visitor.keyword("overflow", format.overflow,
                    std::array<Choice<Overflow>, 1>{{{"saturate", Overflow::saturate}}});
  }
  visit_rounding(format, visitor);
}

template <class V>
void visit_fields(NormalFloat4&, V&) {}

template <class V>
void visit_fields(AdditivePowers& format, V& visitor) {
  visitor.argument("B", format.bits, 2, 7);
  // A magnitude has 2, 4 or 6 bits.
  visitor.flag_just_when(format.bits % 2 == 0, "unsigned", format.is_unsigned);
}

template <class V>
void visit_fields(Posit& format, V& visitor) {
  visitor.argument("N", format.bits, 3, 32);
  // All exponents are those of float32, and their negatives too.
  const int most = std::bit_width(static_cast<unsigned>(126 / (format.bits - 2))) - 1;
  visitor.optional_argument("es", format.exponent_bits, 2, 0, most);
}

template <class V>
void visit_fields(Logarithmic& format, V& visitor) {
  using enum Logarithmic::Rounding;
  visitor.optional_argument("rounding", format.rounding,
                            std::array<Choice<Logarithmic::Rounding>, 3>{
                                {{"nearest", nearest}, {"down", down}, {"exponent", exponent}}});
  visitor.keyword("fraction", format.fraction, 0, 0, 8);
  constexpr int lowest = kMinExponent<double>;
  constexpr int highest = kMaxExponent<double>;
  visitor.keyword("max", format.max_exponent, highest, lowest, highest);
  visitor.keyword("min", format.min_exponent, lowest, lowest, format.max_exponent);
}

template <class V>
void visit_fields(Sparse& format, V& visitor) {
  visitor.argument("T", format.threshold);
}

template <class V>
void visit_fields(Binary& format, V& visitor) {
  visitor.optional_argument("m", format.magnitude);
}

template <class V>
void visit_fields(Ternary& format, V& visitor) {
  visitor.optional_argument("m", format.magnitude);
  visitor.optional_argument("t", format.threshold);
}

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_FORMAT_FIELDS_H_
