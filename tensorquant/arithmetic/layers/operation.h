#ifndef TENSORQUANT_ARITHMETIC_LAYERS_OPERATION_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_OPERATION_H_

// A layer's operation as a value, so that a front-end knows its result's shape before it runs. A
// further kind is a struct here, its overloads of three functions in operation_kinds.h, and its
// place in Operation; without one of them nothing compiles.

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "tensorquant/arithmetic/exact/function.h"
#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// The sizes of a tensor in C order. One that is not known is kUnknownSize.
using TensorShape = std::vector<std::int64_t>;
inline constexpr std::int64_t kUnknownSize = -1;

// x of (..., inputs), weights of (outputs, inputs) and, if given, a bias of (outputs).
struct LinearOperation {};

// x of (batch, channels, input...), weights of (outputs, channels / groups, kernel...) or,
// transposed, (channels, outputs / groups, kernel...) and, if given, a bias of (outputs). All lists
// have one entry for each spatial dimension.
struct ConvolutionOperation {
  std::vector<std::int64_t> stride, dilation;
  std::vector<std::int64_t> padding_begin, padding_end;  // zeros; transposed: cut off, both alike
  std::int64_t groups = 1;
  bool is_transposed = false;
  std::vector<std::int64_t> output_padding;  // transposed only
};

// x of (batch, channels, input...).
struct AveragePoolOperation {
  std::vector<std::int64_t> kernel, stride, padding_begin, padding_end;
  bool ceil_mode = false;  // as in AveragePoolShape
  bool count_include_pad = true;
  std::optional<std::int64_t> divisor;
};

// a of (..., rows, taps) and b of (..., taps, columns): y of (..., rows, columns), each matrix of
// the one with that of the other. What is before their last two dimensions is broadcast: a size of
// 1, or that one of them lacks, is repeated.
struct MatrixProductOperation {};

// x of any shape. See rounded_function().
struct FunctionOperation {
  Function function = Function::exp;
};

// Two tensors of one shape: A(a + b), A(a - b), P(a * b), P(a / b).
struct BinaryOperation {
  enum class Kind { add, subtract, multiply, divide } kind = Kind::add;
};

// x of (..., size), along whose last dimension numbers add up to one. See softmax().
struct SoftmaxOperation {
  bool is_logarithm = false;
};

// x of (..., sizes...), gamma and beta, if given, of (sizes...): the last `dimensions` dimensions
// of x, over which it is normalized. See normalize().
struct LayerNormOperation {
  std::int64_t dimensions = 1;
  bool is_centered = true;  // false: RMS norm, which has no beta
  double epsilon = 1e-5;
};

// x of (batch, channels, ...), gamma and beta, if given, of (channels). See normalize().
struct GroupNormOperation {
  std::int64_t groups = 1;
  double epsilon = 1e-5;
};

// x of (batch, channels, ...), mean, variance and, if given, gamma and beta of (channels). See
// batch_norm().
struct BatchNormOperation {
  double epsilon = 1e-5;
};

using Operation =
    std::variant<LinearOperation, ConvolutionOperation, AveragePoolOperation,
                 MatrixProductOperation, FunctionOperation, BinaryOperation, SoftmaxOperation,
                 LayerNormOperation, GroupNormOperation, BatchNormOperation>;

// Throws an Error for lists of several lengths and other numbers that make no sense for any input.
void check_operation(const Operation& operation);

// The result's shape for inputs of these shapes. Throws an Error where they do not fit, as early as
// their known sizes show it.
TensorShape result_shape(const Operation& operation, const std::vector<TensorShape>& inputs);

// y, of result_shape(), from the data of the inputs, all of whose sizes are known; with scaled
// operands, of their elements. `report`, which only kinds with products or one sum fill, and
// `outside` as in SumsOfProducts. Returns the plan of the sums of products, if there are any.
template <class T>
std::optional<SumPlan> run_operation(const Operation& operation, const Arithmetic& arithmetic,
                                     const ArithmeticContext& context,
                                     const std::vector<TensorShape>& shapes,
                                     const std::vector<const T*>& inputs, T* y,
                                     RangeReport* report = nullptr, bool* outside = nullptr,
                                     const ScaledOperands<T>& scaled = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_OPERATION_H_
