#ifndef TENSORQUANT_FORMATS_BOUNDS_H_
#define TENSORQUANT_FORMATS_BOUNDS_H_

namespace tensorquant {

// The finite extreme values of a format in a tensor of type T; infinite where the format has none.
// They bound the clipped gradient.
template <class T>
struct Bounds {
  T lowest;
  T highest;
};

template <class T>
bool is_outside(const Bounds<T>& limits, T x) {
  return x < limits.lowest || x > limits.highest;
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_BOUNDS_H_
