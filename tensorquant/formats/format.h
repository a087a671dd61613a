#ifndef TENSORQUANT_FORMATS_FORMAT_H_
#define TENSORQUANT_FORMATS_FORMAT_H_

#include <optional>
#include <type_traits>
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

// The element format alone, or of one with scales; nothing for formats that can have none.
inline std::optional<ElementFormat> element_of(const Format& format) {
  return std::visit(
      [](const auto& f) -> std::optional<ElementFormat> {
        using F = std::decay_t<decltype(f)>;
        if constexpr (std::is_same_v<F, Scaled>) {
          return f.element;
        } else if constexpr (std::is_constructible_v<ElementFormat, F>) {
          return ElementFormat(f);
        } else {
          return std::nullopt;
        }
      },
      format);
}
inline Format as_format(const ElementFormat& element) {
  return std::visit([](const auto& f) { return Format(f); }, element);
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FORMAT_H_
