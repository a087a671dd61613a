#ifndef TENSORQUANT_FORMATS_SCALE_H_
#define TENSORQUANT_FORMATS_SCALE_H_

#include <cstddef>
#include <string>

#include "tensorquant/formats/context.h"
#include "tensorquant/formats/layout.h"

namespace tensorquant {

// A factor s that the elements of a group share: Q(x) = s * element(x / s). With a zero point z the
// integers are shifted: Q(x) = s * (clamp(round(x / s) + z) - z).
struct Scale {
  // How s is found. amax is the largest magnitude of a group, `largest` the element format's
  // largest value; all operations are the tensor type's.
  enum class Rule {
    number,  // given
    max,     // amax / largest
    range,   // (hi - lo) / (largest integer - lowest one), with a zero point; lo <= 0 <= hi are the
             // group's ends
    floor,   // powers of two, as OCP MX: 2^(floor(log2 amax) - floor(log2 largest))
    ceil,    // the smallest power of two that lets nothing saturate
    round,   // as floor, the next one where amax would be rounded up to it
    e4m3,    // max, rounded to E4M3 in units of the tensor's: NVFP4
    mean,    // the mean magnitude, of binary and ternary
  };
  // Which elements are a group.
  enum class Per {
    tensor,
    channel,  // those with one index of the channel axis
    row,      // a line along the reduction axis
    block,    // `block` neighbours along the reduction axis; the last of a line may be fewer
  };

  Rule rule = Rule::max;
  double number = 1;  // Rule::number: rounded to the tensor's type; normal and > 0 there
  int zero = 0;       // the zero point beside it
  Per per = Per::tensor;
  int block = 0;  // 1..65536 where per is Per::block, else 0

  bool is_power_of_two() const {
    return rule == Rule::floor || rule == Rule::ceil || rule == Rule::round;
  }
  bool has_zero_point() const { return rule == Rule::range || zero != 0; }
  bool operator==(const Scale&) const = default;
};

// Which group an element belongs to: element (o, k, i) of the axis to the group
// (o * blocks + k / block) * inner + i, or to the group k where all o and i share it.
struct Grouping {
  Axis axis;
  std::size_t block;  // along the axis
  bool by_index;      // one group for each k

  std::size_t blocks() const { return axis.length == 0 ? 0 : (axis.length - 1) / block + 1; }
  std::size_t groups() const { return by_index ? axis.length : axis.outer * blocks() * axis.inner; }
  std::size_t group_of(std::size_t index) const {
    const std::size_t i = index % axis.inner, k = index / axis.inner % axis.length;
    const std::size_t o = index / axis.inner / axis.length;
    return by_index ? k : (o * blocks() + k / block) * axis.inner + i;
  }
};

// The groups of a tensor of `size` elements. Blocks and rows of a tensor whose axes are not known
// run along all of it. Throws an Error where the context lacks what is needed, or where it
// describes a tensor of another size.
Grouping grouping(const Scale& scale, std::size_t size, const Context& context);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_SCALE_H_
