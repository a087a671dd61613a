#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {
namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

// (batch, sequence, heads size) as (batch, heads, sequence, size).
at::Tensor as_heads(const at::Tensor& x, std::int64_t heads) {
  if (x.dim() == 4) return x;
  if (x.dim() != 3) throw Error("expected inputs of 3 or 4 dimensions");
  if (heads < 1 || x.size(2) % heads != 0) {
    throw Error("a size of " + std::to_string(x.size(2)) + " has no " + std::to_string(heads) +
                " equal heads");
  }
  return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

at::Tensor added_where(const at::Tensor& allowed, at::ScalarType type) {
  return at::zeros(allowed.sizes(), type).masked_fill(~allowed, kMasked);
}

// Which scores softmax sees: a query at place i of its block stands `offset` behind in the keys.
struct Masking {
  bool is_causal = false;
  std::int64_t left = -1, right = -1;  // of the window of keys; -1: without an end

  // `offset`: (1) or (batch, 1, 1, 1). Undefined where all are allowed.
  at::Tensor allowed(std::int64_t queries, std::int64_t keys, const at::Tensor& offset) const {
    if (!is_causal && left < 0 && right < 0) return {};
    const at::Tensor i = at::arange(queries, at::kLong).unsqueeze(1);
    const at::Tensor behind = i + offset - at::arange(keys, at::kLong);
    at::Tensor allowed = at::ones(behind.sizes(), at::kBool);
    if (is_causal) allowed = at::logical_and(allowed, behind >= 0);
    if (left >= 0) allowed = at::logical_and(allowed, behind <= left);
    if (right >= 0) allowed = at::logical_and(allowed, behind >= -right);
    return allowed;
  }
};

// The mask as numbers to add; keys that it does not tell of are masked.
at::Tensor mask_of(const at::Tensor& told, std::int64_t keys, at::ScalarType type) {
  const at::Tensor mask = told.scalar_type() == at::kBool ? added_where(told, type) : told.to(type);
  const std::int64_t missing = keys - mask.size(-1);
  return missing > 0 ? at::constant_pad_nd(mask, {0, missing}, kMasked) : mask;
}

struct AttentionSettings {
  explicit AttentionSettings(const NodeView& node)
      : query_heads(node.integer("q_num_heads", 0)),
        key_heads(node.integer("kv_num_heads", 0)),
        shown(node.integer("qk_matmul_output_mode", 0)),
        scale(node.number("scale", 0)),
        has_scale(node.has("scale")),
        cap(node.number("softcap", 0)) {
    masking.is_causal = node.integer("is_causal", 0) != 0;
    masking.left = node.integer("left_window_size", -1);
    masking.right = node.integer("right_window_size", -1);
  }

  std::int64_t query_heads, key_heads;
  std::int64_t shown;  // which scores are the last output
  double scale;
  bool has_scale;
  double cap;
  Masking masking;
};

// What is added to the scores, or undefined. Inputs 3, 4 and 6: mask, past keys, keys in use.
at::Tensor addend_of(const Tensors& in, const at::Tensor& q, const at::Tensor& k,
                     const Masking& masking) {
  const std::int64_t queries = q.size(2), keys = k.size(2);
  const at::ScalarType type = q.scalar_type();
  at::Tensor sum;
  const auto add = [&](const at::Tensor& x) { sum = sum.defined() ? sum + x : x; };
  if (is_given(in, 3)) add(mask_of(in[3], keys, type));
  at::Tensor offset = at::scalar_tensor(is_given(in, 4) ? in[4].size(2) : 0, at::kLong);
  if (is_given(in, 6)) {
    const at::Tensor used = in[6].to(at::kLong).reshape({-1, 1, 1, 1});
    if (!is_given(in, 4)) offset = used - queries;
    add(added_where(at::arange(keys, at::kLong) < used, type));
  }
  const at::Tensor allowed = masking.allowed(queries, keys, offset);
  if (allowed.defined()) add(added_where(allowed, type));
  return sum;
}

// Keys and values of fewer heads serve several of the queries'.
at::Tensor for_heads(const at::Tensor& x, std::int64_t heads) {
  if (x.size(1) == heads) return x;
  if (x.size(1) == 0 || heads % x.size(1) != 0) throw Error("the numbers of heads do not fit");
  return x.repeat_interleave(heads / x.size(1), 1);
}

// Q, K, V, mask, past keys, past values, keys in use.
Tensors attend(const Tensors& in, const AttentionSettings& settings) {
  const at::Tensor q = as_heads(in[0], settings.query_heads);
  at::Tensor k = as_heads(in[1], settings.key_heads), v = as_heads(in[2], settings.key_heads);
  if (is_given(in, 4) != is_given(in, 5)) throw Error("past keys and values go together");
  if (is_given(in, 4)) {
    k = at::cat({in[4], k}, 2);
    v = at::cat({in[5], v}, 2);
  }
  const double scale =
      settings.has_scale ? settings.scale : 1 / std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor product = at::matmul(q, for_heads(k, q.size(1)).transpose(2, 3)) * scale;
  const at::Tensor capped =
      settings.cap > 0 ? at::tanh(product / settings.cap) * settings.cap : product;
  const at::Tensor addend = addend_of(in, q, k, settings.masking);
  const at::Tensor scores = addend.defined() ? capped + addend : capped;
  at::Tensor shares = at::softmax(scores, -1);
  if (addend.defined()) {  // a query that may look at nothing gets nothing
    const at::Tensor is_blind = (addend == kMasked).all(-1, /*keepdim=*/true);
    shares = shares.masked_fill(is_blind, 0);
  }
  at::Tensor y = at::matmul(shares, for_heads(v, q.size(1)));
  if (in[0].dim() == 3) y = y.transpose(1, 2).flatten(2);
  const at::Tensor* shown[] = {&product, &capped, &scores, &shares};
  return {y, k, v, *shown[settings.shown]};
}

Function attention(const NodeView& node) {
  const AttentionSettings settings(node);
  if (settings.shown < 0 || settings.shown > 3) {
    throw Error("qk_matmul_output_mode " + std::to_string(settings.shown) + " is not known");
  }
  return [settings](const Tensors& in) { return attend(in, settings); };
}

// Pairs of numbers are turned by an angle, which grows with the place in the sequence.
Function rotary_embedding(const NodeView& node) {
  const bool interleaved = node.integer("interleaved", 0) != 0;
  const std::int64_t told = node.integer("rotary_embedding_dim", 0);
  const std::int64_t heads = node.integer("num_heads", 0);
  return [=](const Tensors& in) {
    const at::Tensor x = as_heads(in[0], heads);  // (batch, heads, sequence, size)
    const std::int64_t turned = told == 0 ? x.size(3) : told;
    if (turned < 0 || turned > x.size(3) || turned % 2 != 0) {
      throw Error("rotary_embedding_dim " + std::to_string(turned) + " does not fit");
    }
    const auto cache = [&](std::size_t i) {
      const at::Tensor all = is_given(in, 3)
                                 ? in[i]
                                       .index_select(0, in[3].reshape({-1}).to(at::kLong))
                                       .reshape({in[3].size(0), in[3].size(1), -1})
                                 : in[i];
      if (all.size(-1) != turned / 2) throw Error("its caches do not fit");
      return all.unsqueeze(1);
    };
    const at::Tensor cosine = cache(1), sine = cache(2), head = x.narrow(3, 0, turned);
    const at::Tensor a = interleaved ? head.slice(3, 0, turned, 2) : head.narrow(3, 0, turned / 2);
    const at::Tensor b =
        interleaved ? head.slice(3, 1, turned, 2) : head.narrow(3, turned / 2, turned / 2);
    const at::Tensor first = cosine * a - sine * b, second = sine * a + cosine * b;
    const at::Tensor pairs =
        interleaved ? at::stack({first, second}, -1).flatten(3) : at::cat({first, second}, 3);
    const at::Tensor y = at::cat({pairs, x.slice(3, turned)}, 3);
    return Tensors{in[0].dim() == 4 ? y : y.transpose(1, 2).reshape(in[0].sizes())};
  };
}

}  // namespace

Operators attention_operators() {
  return {
      {"Attention", {attention, 3, 7}},
      {"RotaryEmbedding", {rotary_embedding, 3, 4}},
  };
}

}  // namespace tensorquant::onnx_torch
