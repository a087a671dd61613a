#ifndef TESTS_MATRIX_SUMS_H_
#define TESTS_MATRIX_SUMS_H_

#include <cstdint>
#include <span>
#include <type_traits>

#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// Those of a matrix product: a is (rows, taps), b (taps, columns), y (rows, columns).
template <class T>
SumsOfProducts<T> matrix_sums(std::int64_t rows, std::int64_t taps, std::int64_t columns,
                              std::span<const std::type_identity_t<T>> a,
                              std::span<const std::type_identity_t<T>> b, T* y) {
  SumsOfProducts<T> sums;
  sums.a.data = a;
  sums.b.data = b;
  for (std::int64_t k = 0; k < taps; ++k) {
    sums.a.taps.push_back(k);
    sums.b.taps.push_back(k * columns);
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    sums.a.lines.push_back(i * taps);
    sums.rows.push_back(i * columns);
  }
  for (std::int64_t j = 0; j < columns; ++j) {
    sums.b.lines.push_back(j);
    sums.columns.push_back(j);
  }
  sums.y = y;
  return sums;
}

}  // namespace tensorquant

#endif  // TESTS_MATRIX_SUMS_H_
