#ifndef TENSORQUANT_FORMATS_FORMAT_H_
#define TENSORQUANT_FORMATS_FORMAT_H_

#include <utility>
#include <variant>

#include "tensorquant/formats/element_format.h"
#include "tensorquant/formats/identity.h"
#include "tensorquant/formats/scaled.h"
#include "tensorquant/formats/sparse.h"

namespace tensorquant {
namespace detail {

template <class... E>
std::variant<Identity, Sparse, E..., Scaled> formats_with(const std::variant<E...>& elements);

}  // namespace detail

// Every number format, as plain data.
using Format = decltype(detail::formats_with(std::declval<ElementFormat>()));

// An element format alone.
inline Format as_format(const ElementFormat& element) {
  return std::visit([](const auto& f) { return Format(f); }, element);
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FORMAT_H_
