#include "tensorquant/libtorch/arithmetic/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "tensorquant/libtorch/arithmetic/linear_and_convolution.h"
#include "tensorquant/libtorch/arithmetic/operands.h"
#include "tensorquant/libtorch/arithmetic/values.h"

namespace tensorquant {
namespace {

using namespace detail;

constexpr double kHidden = -std::numeric_limits<double>::infinity();

// The operations of a call, one after the other.
class Operations {
 public:
  explicit Operations(const LayerArithmetic& layer) : layer_(layer) {}
  LayerArithmetic next() { return layer_.operation(count_++); }

 private:
  const LayerArithmetic& layer_;
  int count_ = 0;
};

struct Projections {
  at::Tensor q, k, v;
};

void check(const Attention& a) {
  for (const at::Tensor& x : {a.query, a.key, a.value}) {
    require(x.dim() == 3, "expected inputs of (length, batch, size), found " + shape_of(x));
  }
  require(a.key.size(0) == a.value.size(0) && a.key.size(1) == a.value.size(1) &&
              a.query.size(1) == a.key.size(1),
          "expected a value for each key, and one batch, found " + shape_of(a.query) + ", " +
              shape_of(a.key) + " and " + shape_of(a.value));
  require(a.query.size(2) == a.out_weight.size(1), "expected queries of " +
                                                       std::to_string(a.out_weight.size(1)) +
                                                       " numbers, found " + shape_of(a.query));
  const std::int64_t batch = a.query.size(1), from = a.query.size(0), to = a.key.size(0);
  require(!a.padding_mask.defined() || (a.padding_mask.scalar_type() == at::kBool &&
                                        a.padding_mask.sizes() == at::IntArrayRef({batch, to})),
          "expected a padding mask of truth values for " + std::to_string(batch) + " x " +
              std::to_string(to) + " keys");
  require(!a.mask.defined() || (a.mask.is_floating_point() &&
                                (a.mask.sizes() == at::IntArrayRef({from, to}) ||
                                 a.mask.sizes() == at::IntArrayRef({batch * a.heads, from, to}))),
          "expected an attention mask of numbers to add, one for each of " + std::to_string(from) +
              " x " + std::to_string(to) + " scores");
}

Projections project(Operations& operations, const Attention& a) {
  const std::int64_t size = a.query.size(2);
  const auto rows = [size](const at::Tensor& x, std::int64_t first, std::int64_t count) {
    return x.defined() ? x.narrow(0, first * size, count * size) : x;
  };
  const auto linear = [&](const at::Tensor& x, const at::Tensor& weight, std::int64_t first,
                          std::int64_t count) {
    return rounded_linear(operations.next(), x, weight, rows(a.in_bias, first, count));
  };
  if (!a.in_weight.defined()) {
    return {linear(a.query, a.q_weight, 0, 1), linear(a.key, a.k_weight, 1, 1),
            linear(a.value, a.v_weight, 2, 1)};
  }
  if (!a.key.is_same(a.value)) {
    return {linear(a.query, rows(a.in_weight, 0, 1), 0, 1),
            linear(a.key, rows(a.in_weight, 1, 1), 1, 1),
            linear(a.value, rows(a.in_weight, 2, 1), 2, 1)};
  }
  if (!a.query.is_same(a.key)) {
    const at::Tensor q = linear(a.query, rows(a.in_weight, 0, 1), 0, 1);
    const auto parts = linear(a.key, rows(a.in_weight, 1, 2), 1, 2).chunk(2, -1);
    return {q, parts[0], parts[1]};
  }
  const auto parts = linear(a.query, a.in_weight, 0, 3).chunk(3, -1);
  return {parts[0], parts[1], parts[2]};
}

// (length, batch, size) as (batch * heads, length, size / heads).
at::Tensor heads_of(const at::Tensor& x, std::int64_t heads) {
  return x.contiguous().view({x.size(0), x.size(1) * heads, x.size(2) / heads}).transpose(0, 1);
}

// One more key or value for each of a batch, of zeros.
at::Tensor with_zeros(const at::Tensor& x) {
  return at::cat({x, at::zeros({x.size(0), 1, x.size(2)}, x.options())}, 1);
}

// What is added to the scores of (batch * heads, lengths), of so many keys; undefined: nothing.
at::Tensor mask_of(Operations& operations, const Attention& a, std::int64_t keys) {
  const std::int64_t batch = a.query.size(1), more = keys - a.key.size(0);
  at::Tensor mask = a.mask;
  if (mask.defined()) {
    mask = at::constant_pad_nd(mask.to(a.query.scalar_type()), {0, more}, 0);
    if (mask.dim() == 2) mask = mask.unsqueeze(0);
  }
  if (!a.padding_mask.defined()) return mask;
  const at::Tensor hidden = at::constant_pad_nd(a.padding_mask, {0, more}, 0);
  const at::Tensor padding = at::zeros(hidden.sizes(), a.query.options())
                                 .masked_fill(hidden, kHidden)
                                 .view({batch, 1, 1, keys})
                                 .expand({batch, a.heads, 1, keys})
                                 .reshape({batch * a.heads, 1, keys});
  return mask.defined() ? rounded_add(operations.next(), mask, padding) : padding;
}

// The weights softmax(q * scale k^T + mask), and their product with v.
std::pair<at::Tensor, at::Tensor> attend_with_weights(Operations& operations, const Projections& p,
                                                      const at::Tensor& mask, double dropout) {
  const double scale = std::sqrt(1.0 / static_cast<double>(p.q.size(2)));
  const at::Tensor q = rounded_scale(operations.next(), p.q, scale);
  const LayerArithmetic product = operations.next();
  at::Tensor scores = rounded_matrix_product(product, q, p.k.transpose(1, 2));
  if (mask.defined()) scores = rounded_add(product.part("sum"), mask, scores);
  at::Tensor weights = rounded_softmax(operations.next(), scores, -1);
  if (dropout > 0) weights = at::dropout(weights, dropout, /*train=*/true);
  return {weights, rounded_matrix_product(operations.next(), weights, p.v)};
}

// softmax(scale * q k^T + mask) v, where a query that sees nothing has weights of zero.
at::Tensor attend(const LayerArithmetic& layer, const Projections& p, const at::Tensor& mask,
                  double dropout) {
  at::Tensor scores = rounded_matrix_product(layer.part("scores"), p.q, p.k.transpose(1, 2));
  const double scale = 1 / std::sqrt(static_cast<double>(p.q.size(2)));
  scores = rounded_scale(layer.part("scale"), scores, scale);
  if (mask.defined()) scores = rounded_add(layer.part("mask"), scores, mask);
  const at::Tensor sees_nothing = scores.eq(kHidden).all(-1, /*keepdim=*/true);
  scores = scores.masked_fill(sees_nothing, 0);  // whose softmax has gradients that are numbers
  at::Tensor weights = rounded_softmax(layer.part("softmax"), scores, -1);
  weights = weights.masked_fill(sees_nothing, 0);
  if (dropout > 0) weights = at::dropout(weights, dropout, /*train=*/true);
  return rounded_matrix_product(layer.part("mix"), weights, p.v);
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> rounded_attention(const LayerArithmetic& layer,
                                                     const Attention& a) {
  check(a);
  Operations operations(layer);
  const std::int64_t batch = a.query.size(1), from = a.query.size(0);
  Projections p = project(operations, a);
  if (a.bias_k.defined()) {
    p.k = at::cat({p.k, a.bias_k.repeat({1, batch, 1})});
    p.v = at::cat({p.v, a.bias_v.repeat({1, batch, 1})});
  }
  for (at::Tensor* const x : {&p.q, &p.k, &p.v}) *x = heads_of(*x, a.heads);
  if (a.adds_zero) {
    p.k = with_zeros(p.k);
    p.v = with_zeros(p.v);
  }
  const std::int64_t keys = p.k.size(1);
  const at::Tensor mask = mask_of(operations, a, keys);
  at::Tensor mixed, weights;
  if (a.needs_weights) {
    std::tie(weights, mixed) = attend_with_weights(operations, p, mask, a.dropout);
  } else {
    mixed = attend(operations.next(), p, mask, a.dropout);
  }
  mixed = mixed.transpose(0, 1).reshape(a.query.sizes());
  const at::Tensor y = rounded_linear(operations.next(), mixed, a.out_weight, a.out_bias);
  if (!a.needs_weights) return {y, at::Tensor()};
  weights = weights.view({batch, a.heads, from, keys});
  if (a.averages_weights) weights = rounded_mean(operations.next(), weights, {1}, false);
  return {y, weights};
}

}  // namespace tensorquant
