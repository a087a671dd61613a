#ifndef TENSORQUANT_FORMATS_ROUNDING_H_
#define TENSORQUANT_FORMATS_ROUNDING_H_

#include <cmath>
#include <cstdint>

namespace tensorquant {

enum class Rounding {
  nearest,       // ties away from zero
  even,          // ties to even
  zero,          // towards zero
  down,          // towards minus infinity
  up,            // towards plus infinity
  stochastic,    // up with a probability equal to the distance from the integer below
  nearest_up,    // ties towards plus infinity
  nearest_down,  // ties towards minus infinity
  nearest_zero,  // ties towards zero
  odd,           // what is no integer to the odd one of its neighbours
};

// Whether numbers go to the nearest neighbour, whichever way ties go.
inline bool is_to_nearest(Rounding rounding) {
  return rounding == Rounding::nearest || rounding == Rounding::even ||
         rounding == Rounding::nearest_up || rounding == Rounding::nearest_down ||
         rounding == Rounding::nearest_zero;
}

// The random bits of one element, for Rounding::stochastic.
struct Draw {
  std::uint32_t word = 0;  // 32 random bits, of which the highest count
  int bits = 0;  // 1..24: hardware that adds so many bits below the last place; 0: the exact
                 // distance against 24 bits
};

// So few bits that one random word serves two elements: see random_half_word.
inline bool draws_half_words(int random_bits) { return random_bits >= 1 && random_bits <= 16; }

// An integer next to t, or t itself where it is one.
inline double round_reference(double t, Rounding rounding, Draw draw = {}) {
  switch (rounding) {
    case Rounding::nearest:
      return std::round(t);
    case Rounding::even:
      return std::nearbyint(t);
    case Rounding::zero:
      return std::trunc(t);
    case Rounding::down:
      return std::floor(t);
    case Rounding::up:
      return std::ceil(t);
    case Rounding::nearest_up:
    case Rounding::nearest_down:
    case Rounding::nearest_zero: {
      const double nearest = std::round(t);
      const double rest = t - nearest;  // exact, 0.5 or -0.5 for ties
      if (std::abs(rest) != 0.5) return nearest;
      if (rounding == Rounding::nearest_zero) return std::trunc(t);
      return rounding == Rounding::nearest_up ? std::ceil(t) : std::floor(t);
    }
    case Rounding::odd: {
      const double truncated = std::trunc(t);
      const bool is_even = truncated / 2 == std::trunc(truncated / 2);
      return truncated != t && is_even ? truncated + std::copysign(1.0, t) : truncated;
    }
    case Rounding::stochastic:
      break;
  }
  const double below = std::floor(t);
  if (std::isinf(t) || below == t) return t;
  // t - below is exact but for -1 < t < 0, where the comparison is moved by one: there u - 1 is
  // exact.
  const double moved = below == -1.0 ? -1.0 : 0.0;
  const double distance = below == -1.0 ? t : t - below;
  bool goes_up;
  if (draw.bits == 0) {
    const double u = std::ldexp(static_cast<double>(draw.word >> 8), -24);
    goes_up = u + moved < distance;
  } else {
    // The distance cut to `bits` bits is above u, a multiple of 2^-bits, just where it reaches the
    // next multiple.
    const double next =
        std::ldexp(static_cast<double>((draw.word >> (32 - draw.bits)) + 1), -draw.bits);
    goes_up = next + moved <= distance;
  }
  return goes_up ? below + 1 : below;
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_ROUNDING_H_
