#include "tensorquant/arithmetic/layers/operation_kinds.h"

#include "tensorquant/arithmetic/layers/add.h"
#include "tensorquant/arithmetic/layers/batch_norm.h"
#include "tensorquant/arithmetic/layers/elementwise.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/layers/normalization.h"
#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/arithmetic/layers/softmax.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

std::int64_t count_of(const TensorShape& shape) { return volume("the input", shape); }

// An input of a shape; of none where it is left out.
template <class T>
std::span<const T> values(const std::vector<TensorShape>& shapes,
                          const std::vector<const T*>& inputs, std::size_t i) {
  if (i >= inputs.size()) return {};
  return span_of(inputs[i], count_of(shapes[i]));
}
template <class T>
std::span<T> result(const TensorShape& shape, T* y) {
  return {y, static_cast<std::size_t>(count_of(shape))};
}

// The product of sizes from this one on, up to another.
std::int64_t product_of(const TensorShape& shape, std::size_t first, std::size_t end) {
  return count_of({shape.begin() + static_cast<std::ptrdiff_t>(first),
                   shape.begin() + static_cast<std::ptrdiff_t>(end)});
}
std::int64_t product_of(const TensorShape& shape, std::size_t first) {
  return product_of(shape, first, shape.size());
}

// Where no last sum may lie outside of a range.
void mark_none(bool* outside, const TensorShape& shape) {
  if (outside != nullptr) std::fill_n(outside, count_of(shape), false);
}

// What two shapes, without their last two dimensions, are broadcast to.
TensorShape broadcast(const TensorShape& a, const TensorShape& b) {
  const std::size_t dimensions = std::max(a.size(), b.size()) - 2;
  const auto size = [&](const TensorShape& shape, std::size_t d) {
    const std::size_t missing = dimensions + 2 - shape.size();
    return d < missing ? 1 : shape[d - missing];
  };
  TensorShape both;
  for (std::size_t d = 0; d < dimensions; ++d) {
    const std::int64_t x = size(a, d), y = size(b, d);
    require(agree(x, y) || x == 1 || y == 1,
            "the shapes " + to_text(a) + " and " + to_text(b) + " cannot be broadcast");
    both.push_back(x == 1 || x == kUnknownSize ? y == 1 ? x : y : x);
  }
  return both;
}

}  // namespace

void require(bool good, const std::string& reason) {
  if (!good) throw Error(reason);
}

std::string to_text(const TensorShape& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "" : " x ") + (size == kUnknownSize ? "?" : std::to_string(size));
  }
  return "(" + text + ")";
}

bool is_known(const TensorShape& shape) {
  return std::find(shape.begin(), shape.end(), kUnknownSize) == shape.end();
}

bool agree(std::int64_t a, std::int64_t b) {
  return a == b || a == kUnknownSize || b == kUnknownSize;
}

void check_count(const std::vector<TensorShape>& inputs, std::size_t least, std::size_t most) {
  require(inputs.size() >= least && inputs.size() <= most,
          "expected " + std::to_string(least) + " to " + std::to_string(most) + " tensors, found " +
              std::to_string(inputs.size()));
}

void check_channels(const std::vector<TensorShape>& inputs, std::size_t first,
                    std::int64_t channels) {
  for (std::size_t i = first; i < inputs.size(); ++i) {
    require(inputs[i].size() == 1 && agree(inputs[i][0], channels),
            "expected a number for each of " + std::to_string(channels) + " channels, found " +
                to_text(inputs[i]));
  }
}

// Shared by all: the arguments of run_on() behind the operation.
#define TENSORQUANT_RUN(Kind)                                                          \
  template <class T>                                                                   \
  std::optional<SumPlan> run_on(                                                       \
      const Kind& operation [[maybe_unused]], const Arithmetic& arithmetic,            \
      const ArithmeticContext& context, const std::vector<TensorShape>& shapes,        \
      const std::vector<const T*>& inputs, T* y, RangeReport* report [[maybe_unused]], \
      bool* outside [[maybe_unused]], const ScaledOperands<T>& scaled [[maybe_unused]])

void check_kind(const MatrixProductOperation&) {}

TensorShape shape_of(const MatrixProductOperation&, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 2, 2);
  const TensorShape &a = inputs[0], &b = inputs[1];
  require(a.size() >= 2 && b.size() >= 2 && agree(a.back(), b[b.size() - 2]),
          "expected matrices of (... x rows x taps) and (... x taps x columns), found " +
              to_text(a) + " and " + to_text(b));
  TensorShape shape = broadcast(a, b);
  shape.push_back(a[a.size() - 2]);
  shape.push_back(b.back());
  return shape;
}

TENSORQUANT_RUN(MatrixProductOperation) {
  const TensorShape &a = shapes[0], &b = shapes[1];
  return matrix_products<T>(arithmetic, context,
                            {.batch = broadcast(a, b),
                             .a_batch = {a.begin(), a.end() - 2},
                             .b_batch = {b.begin(), b.end() - 2},
                             .rows = a[a.size() - 2],
                             .taps = a.back(),
                             .columns = b.back()},
                            inputs[0], inputs[1], nullptr, y, report, outside, scaled);
}

void check_kind(const FunctionOperation&) {}

TensorShape shape_of(const FunctionOperation&, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 1, 1);
  return inputs[0];
}

TENSORQUANT_RUN(FunctionOperation) {
  mark_none(outside, shapes[0]);
  rounded_function(arithmetic, context, operation.function, values(shapes, inputs, 0),
                   result(shapes[0], y));
  return {};
}

void check_kind(const BinaryOperation&) {}

TensorShape shape_of(const BinaryOperation&, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 2, 2);
  const TensorShape &a = inputs[0], &b = inputs[1];
  require(a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), agree),
          "expected two tensors of one shape, found " + to_text(a) + " and " + to_text(b));
  TensorShape shape = a;
  for (std::size_t d = 0; d < a.size(); ++d) shape[d] = std::max(a[d], b[d]);
  return shape;
}

TENSORQUANT_RUN(BinaryOperation) {
  using enum BinaryOperation::Kind;
  const auto a = values(shapes, inputs, 0), b = values(shapes, inputs, 1);
  const auto to = result(shapes[0], y);
  if (operation.kind == add) {
    rounded_add(arithmetic, context, a, b, to, report, outside);
  } else if (operation.kind == subtract) {
    std::vector<T> negated(b.size());
    std::transform(b.begin(), b.end(), negated.begin(), [](T x) { return -x; });
    rounded_add<T>(arithmetic, context, a, negated, to, report, outside);
  } else {
    mark_none(outside, shapes[0]);
    const auto compute = operation.kind == multiply ? rounded_multiply<T> : rounded_divide<T>;
    compute(arithmetic, context, a, b, to);
  }
  return {};
}

void check_kind(const SoftmaxOperation&) {}

TensorShape shape_of(const SoftmaxOperation&, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 1, 1);
  require(!inputs[0].empty(), "expected an input of 1 dimension or more, found a number");
  return inputs[0];
}

TENSORQUANT_RUN(SoftmaxOperation) {
  mark_none(outside, shapes[0]);
  softmax(arithmetic, context, static_cast<std::size_t>(shapes[0].back()), operation.is_logarithm,
          values(shapes, inputs, 0), result(shapes[0], y), outside);
  return {};
}

void check_kind(const LayerNormOperation& o) {
  require(o.dimensions >= 1, "a layer norm over no dimension");
}

TensorShape shape_of(const LayerNormOperation& o, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 1, o.is_centered ? 3 : 2);
  const TensorShape& x = inputs[0];
  const auto dimensions = static_cast<std::size_t>(o.dimensions);
  require(x.size() >= dimensions, "expected an input of " + std::to_string(dimensions) +
                                      " dimensions or more, found " + to_text(x));
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const TensorShape& scale = inputs[i];
    require(
        scale.size() == dimensions && std::equal(scale.rbegin(), scale.rend(), x.rbegin(), agree),
        "expected gamma and beta of the input's last " + std::to_string(dimensions) + " sizes, " +
            to_text(x) + ", found " + to_text(scale));
  }
  return x;
}

TENSORQUANT_RUN(LayerNormOperation) {
  const TensorShape& x = shapes[0];
  mark_none(outside, x);
  const std::size_t first = x.size() - static_cast<std::size_t>(operation.dimensions);
  normalize(arithmetic, context,
            Normalization<T>{.size = static_cast<std::size_t>(product_of(x, first)),
                             .is_centered = operation.is_centered,
                             .epsilon = static_cast<T>(operation.epsilon),
                             .gamma = values(shapes, inputs, 1),
                             .beta = values(shapes, inputs, 2)},
            values(shapes, inputs, 0), result(x, y), outside);
  return {};
}

void check_kind(const GroupNormOperation& o) {
  require(o.groups >= 1, std::to_string(o.groups) + " groups");
}

TensorShape shape_of(const GroupNormOperation& o, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 1, 3);
  const TensorShape& x = inputs[0];
  require(x.size() >= 2, "expected an input of (batch x channels ...), found " + to_text(x));
  require(x[1] == kUnknownSize || x[1] % o.groups == 0, std::to_string(x[1]) +
                                                            " channels cannot be divided into " +
                                                            std::to_string(o.groups) + " groups");
  check_channels(inputs, 1, x[1]);
  return x;
}

TENSORQUANT_RUN(GroupNormOperation) {
  const TensorShape& x = shapes[0];
  mark_none(outside, x);
  const std::int64_t plane = product_of(x, 2);
  normalize(arithmetic, context,
            Normalization<T>{.size = static_cast<std::size_t>(x[1] / operation.groups * plane),
                             .epsilon = static_cast<T>(operation.epsilon),
                             .gamma = values(shapes, inputs, 1),
                             .beta = values(shapes, inputs, 2),
                             .plane = static_cast<std::size_t>(plane)},
            values(shapes, inputs, 0), result(x, y), outside);
  return {};
}

void check_kind(const BatchNormOperation&) {}

TensorShape shape_of(const BatchNormOperation&, const std::vector<TensorShape>& inputs) {
  check_count(inputs, 3, 5);
  const TensorShape& x = inputs[0];
  require(x.size() >= 2, "expected an input of (batch x channels ...), found " + to_text(x));
  check_channels(inputs, 1, x[1]);
  return x;
}

TENSORQUANT_RUN(BatchNormOperation) {
  const TensorShape& x = shapes[0];
  const BatchNorm<T> norm{.mean = values(shapes, inputs, 1),
                          .variance = values(shapes, inputs, 2),
                          .gamma = values(shapes, inputs, 3),
                          .beta = values(shapes, inputs, 4),
                          .epsilon = static_cast<T>(operation.epsilon)};
  batch_norm(arithmetic, context, norm, product_of(x, 2), values(shapes, inputs, 0), result(x, y),
             report, outside);
  return {};
}
#undef TENSORQUANT_RUN

#define TENSORQUANT_INSTANTIATE_KIND(Kind, T)                                                    \
  template std::optional<SumPlan> run_on(                                                        \
      const Kind&, const Arithmetic&, const ArithmeticContext&, const std::vector<TensorShape>&, \
      const std::vector<const T*>&, T*, RangeReport*, bool*, const ScaledOperands<T>&)
#define TENSORQUANT_INSTANTIATE(T)                         \
  TENSORQUANT_INSTANTIATE_KIND(MatrixProductOperation, T); \
  TENSORQUANT_INSTANTIATE_KIND(FunctionOperation, T);      \
  TENSORQUANT_INSTANTIATE_KIND(BinaryOperation, T);        \
  TENSORQUANT_INSTANTIATE_KIND(SoftmaxOperation, T);       \
  TENSORQUANT_INSTANTIATE_KIND(LayerNormOperation, T);     \
  TENSORQUANT_INSTANTIATE_KIND(GroupNormOperation, T);     \
  TENSORQUANT_INSTANTIATE_KIND(BatchNormOperation, T)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE
#undef TENSORQUANT_INSTANTIATE_KIND

}  // namespace tensorquant
