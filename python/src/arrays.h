#ifndef TENSORQUANT_PYTHON_SRC_ARRAYS_H_
#define TENSORQUANT_PYTHON_SRC_ARRAYS_H_

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <span>

namespace tensorquant::python {

// NumPy arrays in C order, as the package hands them over. They are never converted: pass them by
// arguments with noconvert().
template <class T>
using In = nanobind::ndarray<const T, nanobind::c_contig, nanobind::device::cpu>;
template <class T>
using Out = nanobind::ndarray<T, nanobind::c_contig, nanobind::device::cpu>;

template <class T>
std::span<const T> span_of(const In<T>& array) {
  return {array.data(), array.size()};
}
template <class T>
std::span<T> span_of(const Out<T>& array) {
  return {array.data(), array.size()};
}

template <class T>
std::span<const std::int64_t> shape_of(const In<T>& array) {
  return {array.shape_ptr(), array.ndim()};
}
template <class T>
std::span<const std::int64_t> shape_of(const Out<T>& array) {
  return {array.shape_ptr(), array.ndim()};
}

// 16-bit floats come as their bits.
template <class Half>
std::span<const Half> halves_of(const In<std::uint16_t>& array) {
  return {reinterpret_cast<const Half*>(array.data()), array.size()};
}
template <class Half>
std::span<Half> halves_of(const Out<std::uint16_t>& array) {
  return {reinterpret_cast<Half*>(array.data()), array.size()};
}

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_ARRAYS_H_
