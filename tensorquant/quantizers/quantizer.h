#ifndef TENSORQUANT_QUANTIZERS_QUANTIZER_H_
#define TENSORQUANT_QUANTIZERS_QUANTIZER_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tensorquant/formats/context.h"
#include "tensorquant/formats/format.h"

namespace tensorquant {

// A function tensor -> tensor of the same type and size whose values all lie in a number format.
// Quantizers are immutable values: share them freely between layers and threads. Derive from this
// class for a quantizer of your own.
class Quantizer {
 public:
  virtual ~Quantizer() = default;

  // out = q(in), element by element in C order. The spans have one size (an Error otherwise) and
  // are either the same memory or do not overlap. Of the context, random quantizers look at seed,
  // stream and step, those that need_layout() at the layout.
  virtual void quantize(std::span<const float> in, std::span<float> out,
                        const Context& context = {}) const = 0;
  // Throws an Error unless overridden.
  virtual void quantize(std::span<const double> in, std::span<double> out,
                        const Context& context = {}) const;

  // dx, the gradient of a loss at the quantizer's input, from dy, the one at its output; x is the
  // input and y the output of quantize(). All have one size; dx may be dy. Straight-through (dx =
  // dy) unless overridden.
  virtual void gradient(std::span<const float> x, std::span<const float> y,
                        std::span<const float> dy, std::span<float> dx) const;
  virtual void gradient(std::span<const double> x, std::span<const double> y,
                        std::span<const double> dy, std::span<double> dx) const;

  // The same, where the gradient depends on the context of the call of quantize(). Those above
  // unless overridden.
  virtual void gradient(std::span<const float> x, std::span<const float> y,
                        std::span<const float> dy, std::span<float> dx,
                        const Context& context) const;
  virtual void gradient(std::span<const double> x, std::span<const double> y,
                        std::span<const double> dy, std::span<double> dx,
                        const Context& context) const;

  // The canonical quantizer string: make_quantizer(q.spec()) is the same quantizer.
  virtual std::string spec() const = 0;

  // True where the result depends on the context; such results are never cached.
  virtual bool is_random() const { return false; }
  // True where it asks the context for the meaning of the tensor's axes, which front-ends know. Of
  // the built-in ones those with per=row or blocks take the tensor as one line where nobody tells,
  // those with per=channel throw an Error.
  virtual bool needs_layout() const { return false; }
  // A promise that gradient() is dx = dy, which lets a front-end leave it out and keep neither x
  // nor y for it.
  virtual bool is_straight_through() const { return false; }
  // The format behind a built-in quantizer; null for a user's own.
  virtual const Format* format() const { return nullptr; }
};

// The quantizer of a string such as "nearest,16,8" or "float,4,3,rounding=zero"; see
// docs/quantizers.md for all of them. Throws a SpecError that points at the fault.
std::shared_ptr<const Quantizer> make_quantizer(std::string_view spec);

// The format of a built-in quantizer with scales; null for any other.
const Scaled* scaled_format(const Quantizer& quantizer);

// True where each result depends on its own element alone, neither on others nor on its index, so
// that any part of a tensor can be quantized in any order. False for a user's own quantizer, of
// which nothing is known.
bool is_elementwise(const Quantizer& quantizer);

// True where quantizing a tensor again changes nothing. Not with random rounding, nor with scales,
// by which a quotient need not be the number that was multiplied; nor with
// logarithmic,down,fraction=, whose values are rounded to the tensor's type, some to below
// themselves. False for a user's own.
bool is_idempotent(const Quantizer& quantizer);

// Whether a gradient, too, depends on its own element alone. Random rounding has no part in it,
// scales that are found in the tensor have.
bool has_elementwise_gradient(const Quantizer& quantizer);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_QUANTIZER_H_
