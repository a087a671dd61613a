#ifndef TENSORQUANT_ARITHMETIC_LAYERS_OPERATION_KINDS_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_OPERATION_KINDS_H_

// What each kind of Operation answers, for operation.cc, which has those of the layers with
// weights.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/operation.h"

namespace tensorquant {

void require(bool good, const std::string& reason);  // or throws an Error
std::string to_text(const TensorShape& shape);
bool is_known(const TensorShape& shape);
bool agree(std::int64_t a, std::int64_t b);  // two sizes, one of which may not be known
void check_count(const std::vector<TensorShape>& inputs, std::size_t least, std::size_t most);
// Of the tensors from this one on.
void check_channels(const std::vector<TensorShape>& inputs, std::size_t first,
                    std::int64_t channels);

#define TENSORQUANT_DECLARE(Kind)                                                            \
  void check_kind(const Kind& operation);                                                    \
  TensorShape shape_of(const Kind& operation, const std::vector<TensorShape>& inputs);       \
  template <class T>                                                                         \
  std::optional<SumPlan> run_on(                                                             \
      const Kind& operation, const Arithmetic& arithmetic, const ArithmeticContext& context, \
      const std::vector<TensorShape>& shapes, const std::vector<const T*>& inputs, T* y,     \
      RangeReport* report, bool* outside, const ScaledOperands<T>& scaled)
TENSORQUANT_DECLARE(MatrixProductOperation);
TENSORQUANT_DECLARE(FunctionOperation);
TENSORQUANT_DECLARE(BinaryOperation);
TENSORQUANT_DECLARE(SoftmaxOperation);
TENSORQUANT_DECLARE(LayerNormOperation);
TENSORQUANT_DECLARE(GroupNormOperation);
TENSORQUANT_DECLARE(BatchNormOperation);
#undef TENSORQUANT_DECLARE

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_OPERATION_KINDS_H_
