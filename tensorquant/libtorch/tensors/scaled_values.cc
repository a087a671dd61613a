#include "tensorquant/libtorch/tensors/scaled_values.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/base/error.h"
#include "tensorquant/kernels/kernels.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"

namespace tensorquant {
namespace {

// In place of what owned a storage's memory.
struct Owner {
  at::DataPtr memory;
  std::shared_ptr<const ScaledValues> values;  // of all of it
  std::vector<std::int64_t> sizes, strides;    // of the tensor that they were made for
};
void release(void* owner) { delete static_cast<Owner*>(owner); }

Owner* owner_of(const at::Tensor& x) {
  if (!x.defined() || !x.has_storage()) return nullptr;
  return x.storage().data_ptr().cast_context<Owner>(&release);
}

// Replaces what the tensor kept.
void keep(const at::Tensor& y, std::shared_ptr<const ScaledValues> values) {
  Owner* owner = owner_of(y);
  if (owner == nullptr) {
    if (values == nullptr) return;
    c10::StorageImpl* const storage = y.storage().unsafeGetStorageImpl();
    owner = new Owner;
    const at::DataPtr& memory = y.storage().data_ptr();
    owner->memory =
        storage->set_data_ptr(at::DataPtr(memory.get(), owner, &release, memory.device()));
  }
  owner->values = std::move(values);
  owner->sizes = y.sizes().vec();
  owner->strides = y.strides().vec();
}

template <class T>
std::shared_ptr<const ScaledValues> split_values(const Scaled& format, const at::Tensor& x,
                                                 const Context& context) {
  const at::NoGradGuard no_gradient;
  const at::Tensor ordered = x.detach().resolve_neg().contiguous();
  const auto count = static_cast<std::size_t>(x.numel());
  const at::Tensor q = at::empty_like(ordered);
  const std::vector<T> found = split(format, std::span<const T>(ordered.data_ptr<T>(), count),
                                     std::span<T>(q.data_ptr<T>(), count), context);
  const at::Tensor scales = at::empty({static_cast<std::int64_t>(found.size())}, ordered.options());
  std::copy(found.begin(), found.end(), scales.data_ptr<T>());
  return std::make_shared<const ScaledValues>(ScaledValues{
      q, scales, grouping(format.scale, count, context), smallest_normal_exponent(format.element)});
}

std::shared_ptr<const ScaledValues> elements_of(const at::Tensor& x, const Quantizer& quantizer,
                                                const Context& context) {
  const Scaled* const format = scaled_format(quantizer);
  const bool is_known = x.defined() && x.device().is_cpu() && x.layout() == at::kStrided &&
                        (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
  if (format == nullptr || !is_known) return nullptr;  // quantizing it is an error
  return x.scalar_type() == at::kFloat ? split_values<float>(*format, x, context)
                                       : split_values<double>(*format, x, context);
}

std::shared_ptr<const ScaledValues> lost(const std::string& reason) {
  auto values = std::make_shared<ScaledValues>();
  values->loss = reason;
  return values;
}

bool is_made_of(const at::Tensor& x, const ScaledValues& values) {
  const at::Tensor ordered = x.detach().contiguous();
  const auto count = static_cast<std::size_t>(x.numel());
  if (values.q.numel() != x.numel() || values.q.scalar_type() != x.scalar_type()) return false;
  return x.scalar_type() == at::kFloat
             ? stands_for(values.operand<float>(),
                          std::span<const float>(ordered.data_ptr<float>(), count))
             : stands_for(values.operand<double>(),
                          std::span<const double>(ordered.data_ptr<double>(), count));
}

// The groups of a tensor with the same scales; nothing where its sizes have no place for them.
std::optional<Grouping> grouping_in(const ScaledValues& values, const at::Tensor& y) {
  const at::IntArrayRef before = values.q.sizes(), after = y.sizes();
  const Grouping& grouping = values.grouping;
  if (values.scales.numel() <= 1 || y.numel() == values.q.numel()) return grouping;
  if (!grouping.by_index || after.size() != before.size()) return std::nullopt;
  for (std::size_t d = 0; d < after.size(); ++d) {
    if (after[d] != before[d] || !(axis_of(before, d, d + 1) == grouping.axis)) continue;
    return Grouping{axis_of(after, d, d + 1), grouping.block, true};
  }
  return std::nullopt;
}

// Of a view that is some rows of all; nothing where it is another one.
std::optional<ScaledValues> rows_of(const ScaledValues& all, const at::Tensor& x) {
  const at::IntArrayRef whole = all.q.sizes(), sizes = x.sizes();
  if (!x.is_contiguous() || x.numel() == 0 || sizes.size() != whole.size() ||
      sizes.slice(1) != whole.slice(1)) {
    return std::nullopt;
  }
  const std::int64_t size = x.numel() / sizes[0], first = x.storage_offset() / size;
  Grouping grouping = all.grouping;
  const auto rows = static_cast<std::size_t>(whole[0]);
  if (x.storage_offset() % size != 0) return std::nullopt;
  if (!grouping.by_index && grouping.axis.outer % rows == 0) {
    grouping.axis.outer = grouping.axis.outer / rows * static_cast<std::size_t>(sizes[0]);
  } else if (grouping.by_index && grouping.axis == axis_of(whole, 0, 1)) {
    grouping.axis = axis_of(sizes, 0, 1);
  } else {
    return std::nullopt;
  }
  const std::int64_t scales = all.scales.numel() / whole[0];  // of a row
  return ScaledValues{all.q.narrow(0, first, sizes[0]),
                      all.scales.narrow(0, first * scales, sizes[0] * scales), grouping,
                      all.min_exponent};
}

}  // namespace

at::Tensor quantize_with_elements(at::Tensor&& x, const std::shared_ptr<const Quantizer>& quantizer,
                                  const Context& context) {
  std::shared_ptr<const ScaledValues> values = elements_of(x, *quantizer, context);
  at::Tensor y = quantize_consuming(std::move(x), quantizer, context);
  keep(y, std::move(values));
  return y;
}

std::shared_ptr<const ScaledValues> find_scaled_values(const at::Tensor& x) {
  const Owner* const owner = owner_of(x);
  if (owner == nullptr || owner->values == nullptr) return nullptr;
  if (!owner->values->loss.empty()) return owner->values;
  auto values = std::make_shared<ScaledValues>(*owner->values);
  const bool is_itself = x.sizes() == owner->sizes && x.strides() == owner->strides;
  if (!is_itself) {
    // q has the memory's order only where that is C order.
    const bool is_ordered = owner->strides == values->q.strides();
    const bool is_reshaped = x.is_contiguous() && x.numel() == values->q.numel();
    const bool has_one_grouping = is_reshaped || values->scales.numel() <= 1;
    const auto rows = is_ordered && !has_one_grouping ? rows_of(*values, x) : std::nullopt;
    if (!is_ordered || (!has_one_grouping && !rows)) {
      return lost("it reads a view of a tensor with scales, in another order");
    }
    if (rows) {
      *values = *rows;
    } else {
      values->q = values->q.as_strided(x.sizes(), x.strides(), x.storage_offset()).contiguous();
    }
  }
  if (!is_made_of(x, *values))
    return lost("it reads a tensor with scales that was changed in place");
  return values;
}

std::shared_ptr<const ScaledValues> scaled_values_of(const at::Tensor& x) {
  std::shared_ptr<const ScaledValues> values = find_scaled_values(x);
  if (values != nullptr && !values->loss.empty()) {
    throw Error(values->loss +
                "; rounded arithmetic sees elements and scales apart: quantize what "
                "the layer reads, by a rule of the extrinsic map");
  }
  return values;
}

void carry_elements(const ScaledValues& values, const at::Tensor& y,
                    const std::function<at::Tensor(const at::Tensor&)>& layer,
                    const std::string& place) {
  const at::NoGradGuard no_gradient;
  const std::optional<Grouping> grouping =
      values.loss.empty() ? grouping_in(values, y) : std::nullopt;
  if (grouping) {
    auto moved = std::make_shared<ScaledValues>(values);
    moved->q = layer(values.q).contiguous();
    moved->grouping = *grouping;
    if (is_made_of(y, *moved)) return keep(y, std::move(moved));
  }
  keep(y, values.loss.empty() ? lost("it reads what " + place +
                                     " made of a tensor with scales, "
                                     "whose groups are mixed there")
                              : std::make_shared<const ScaledValues>(values));
}

}  // namespace tensorquant
