#ifndef TENSORQUANT_FORMATS_IDENTITY_H_
#define TENSORQUANT_FORMATS_IDENTITY_H_

#include <limits>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// Every value of the tensor's type.
struct Identity {
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const Identity&) const = default;
};

template <class T>
Bounds<T> bounds(const Identity&) {
  return {-std::numeric_limits<T>::infinity(), std::numeric_limits<T>::infinity()};
}

template <class T>
T quantize_reference(const Identity&, T x) {
  return x;
}

template <class T>
bool overflows(const Identity&, T) {
  return false;
}

inline bool fits_doubles(const Identity&) { return true; }
inline bool is_random(const Identity&) { return false; }
inline bool is_elementwise(const Identity&) { return true; }

template <class T>
FormatFacts facts(const Identity& format);
template <class T>
std::vector<double> values(const Identity& format);
bool fits(const Identity& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_IDENTITY_H_
