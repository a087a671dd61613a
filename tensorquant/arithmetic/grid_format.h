#ifndef TENSORQUANT_ARITHMETIC_GRID_FORMAT_H_
#define TENSORQUANT_ARITHMETIC_GRID_FORMAT_H_

#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <variant>

#include "tensorquant/formats/format.h"

namespace tensorquant {

namespace detail {

template <class... F>
std::variant<F...> variant_of(const std::tuple<F...>&);
template <class... F>
auto grids_of(const std::variant<F...>&) -> decltype(variant_of(std::tuple_cat(
    std::declval<std::conditional_t<F::is_grid, std::tuple<F>, std::tuple<>>>()...)));

}  // namespace detail

// The formats that arithmetic can round exact products and sums to: those of Format that say so by
// F::is_grid.
using GridFormat = decltype(detail::grids_of(std::declval<Format>()));

// Nothing where the format is no grid, or has more bits than the doubles that hold its sums.
std::optional<GridFormat> grid_format(const Format& format);

// Below are arithmetic's questions to a format. Each grid answers each one in grid_format.cc,
// rounding in exact_number.cc; there is no answer by default.

// Stands for the tensor's type: as a product's format it leaves the product exact.
inline bool is_none(const GridFormat& format) { return std::holds_alternative<Identity>(format); }

// The random bits for output `index` at tap k; nothing for formats that do not round at random.
Draw draw(const GridFormat& format, const RandomStream& random, std::uint64_t index,
          std::uint32_t tap);

// The format's own ends; those of T for Identity.
template <class T>
Bounds<double> ends_of(const GridFormat& format);

// What to_type() clamps at: the format's ends in T, or infinities where no value becomes more.
template <class T>
Bounds<T> limits_in_type(const GridFormat& format);

// The value of the tensor's type T that a value of the format becomes at the end: ties to even, but
// never beyond the format's ends; every NaN is the quiet one without payload.
template <class T>
T to_type(const GridFormat& format, double x);

// The format that rounds numbers in float64 as `format` rounds those of a float32 tensor: Identity
// becomes binary32, and the bounds of Logarithmic are those of float32.
GridFormat in_double(const GridFormat& format);

// Whether it rounds the numbers of float64 tensors as those of float32 tensors.
bool is_of_any_tensor(const GridFormat& format);

// Whether it is binary32 with ties to even, as in_double(Identity) is; overflow may differ.
bool is_float32(const GridFormat& format);

// Whether a number that was rounded to odd in float64 is as good as the exact one: for formats that
// look neither at bits far above the result nor far below it.
bool takes_odd(const GridFormat& format);

// n where the result depends on the number modulo 2^n alone, and its sign.
std::optional<int> modulus_of(const GridFormat& format);

// All values in a float32 tensor are multiples of 2^last_bit.
int last_bit(const GridFormat& format);

// A set of numbers: multiples of 2^last_bit up to a magnitude, with no more significant bits than
// `bits`.
struct NumberRange {
  double largest;
  int last_bit;
  int bits;
};

// Whether rounding changes none of these numbers. Never wrongly true.
bool keeps(const GridFormat& format, const NumberRange& numbers);

// `count` numbers whose magnitudes add up to `sum` add up to no more than this once they are
// rounded in range: the slack of the format's rounding.
double bound_after_rounding(const GridFormat& format, double sum, double count);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_GRID_FORMAT_H_
