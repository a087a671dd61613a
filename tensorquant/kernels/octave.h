#ifndef TENSORQUANT_KERNELS_OCTAVE_H_
#define TENSORQUANT_KERNELS_OCTAVE_H_

#include <type_traits>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/logarithmic.h"

namespace tensorquant {

// The smallest number of T that is not below significand * 2^exponent: see border().
template <class T>
T number_from(Uint128 significand, int exponent);

// Of T, the smallest magnitude that does not give zero.
template <class T>
T smallest_kept(const Logarithmic& format);

// What the significands of one octave become, as a table: they fall into cells by their highest
// bits, so many that no cell has two borders.
template <class T>
struct Octave {
  using Bits = std::make_signed_t<BitsOf<T>>;

  int cell_bits;
  std::vector<Bits>
      borders;  // of each cell: the stored bits from which on it has its second result
  std::vector<Bits> results;  // two of each cell, as what they add to the bits of the power
};

// Made once in a process for all formats.
template <class T>
const Octave<T>& octave_of(const Logarithmic& format);

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_OCTAVE_H_
