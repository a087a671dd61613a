#include "tensorquant/kernels/octave.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tensorquant {
namespace {

constexpr int kMostFraction = 8;

template <class T>
Octave<T> make_octave(const Logarithmic& format) {
  using Bits = typename Octave<T>::Bits;
  const auto stored = [](T x) { return static_cast<Bits>(to_bits(x) - to_bits(T{1})); };
  const auto result = [&](int step) { return stored(power_of_two_in_steps<T>(format, step)); };
  Octave<T> octave{.cell_bits = format.fraction + 1, .borders = {}, .results = {}};
  const int cells = 1 << octave.cell_bits;
  int step = 0;  // of what is below the next border
  for (int cell = 0; cell < cells; ++cell) {
    const Bits end = static_cast<Bits>(cell + 1) * (stored(T{2}) / cells);
    const Bits next = step < format.steps() ? stored(number_from<T>(border(format, step), 0)) : end;
    octave.borders.push_back(std::min(next, end));
    octave.results.push_back(result(step));
    if (next < end) ++step;
    octave.results.push_back(result(step));
  }
  return octave;
}

}  // namespace

template <class T>
T number_from(Uint128 significand, int exponent) {
  using Limits = std::numeric_limits<T>;
  const int subnormal_bits = std::max(0, Limits::min_exponent - 1 - exponent);
  const int dropped = kRootBits - (Limits::digits - 1) + subnormal_bits;
  const Uint128 kept = (significand + ((Uint128{1} << dropped) - 1)) >> dropped;
  return static_cast<T>(std::ldexp(static_cast<double>(kept), dropped - kRootBits + exponent));
}

template <class T>
T smallest_kept(const Logarithmic& format) {
  const int lowest = min_exponent<T>(format);
  switch (format.rounding) {
    case Logarithmic::Rounding::nearest:  // half of the smallest subnormal is no value of T
      return static_cast<T>(std::ldexp(1.0, std::max(lowest - 1, kMinExponent<T>)));
    case Logarithmic::Rounding::down:
      return static_cast<T>(std::ldexp(1.0, lowest));
    case Logarithmic::Rounding::exponent:
      break;
  }
  return number_from<T>(border(format, format.steps() - 1), lowest - 1);
}

template <class T>
const Octave<T>& octave_of(const Logarithmic& format) {
  using enum Logarithmic::Rounding;
  static const std::vector<Octave<T>> all = [] {
    std::vector<Octave<T>> octaves;
    for (int fraction = 0; fraction <= kMostFraction; ++fraction) {
      for (const auto rounding : {nearest, down, exponent}) {
        octaves.push_back(make_octave<T>({.rounding = rounding, .fraction = fraction}));
      }
    }
    return octaves;
  }();
  return all[static_cast<std::size_t>(3 * format.fraction + static_cast<int>(format.rounding))];
}

template float number_from<float>(Uint128, int);
template double number_from<double>(Uint128, int);
template float smallest_kept<float>(const Logarithmic&);
template double smallest_kept<double>(const Logarithmic&);
template const Octave<float>& octave_of<float>(const Logarithmic&);
template const Octave<double>& octave_of<double>(const Logarithmic&);

}  // namespace tensorquant
