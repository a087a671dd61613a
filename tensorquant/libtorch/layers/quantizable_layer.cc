#include "tensorquant/libtorch/layers/quantizable_layer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/random.h"
#include "tensorquant/libtorch/layers/parameter_owners.h"
#include "tensorquant/libtorch/tensors/scaled_values.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/maps/place.h"

namespace tensorquant {
namespace {

// Errors say which layer they come from.
template <class F>
auto named(const std::string& layer, const F& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error("layer '" + layer + "': " + error.what());
  }
}

}  // namespace

// The quantized parameters of evaluation mode, and the parameters that they were made from.
struct QuantizableLayer::Cache {
  // Version counters alone do not tell whether a tensor has changed: load(), to() and set_data()
  // swap the storage, whose address may come back, so the key holds on to it, or only how a tensor
  // looks at it.
  struct Key {
    explicit Key(const at::Tensor& x)
        : tensor(x.unsafeGetTensorImpl()),
          storage(x.storage()),
          offset(x.storage_offset()),
          sizes(x.sizes().vec()),
          strides(x.strides().vec()),
          is_negated(x.is_neg()),
          version(x._version()),
          type(x.scalar_type()) {}
    bool holds(const at::Tensor& x) const {
      return tensor == x.unsafeGetTensorImpl() &&
             storage.unsafeGetStorageImpl() == x.storage().unsafeGetStorageImpl() &&
             offset == x.storage_offset() && x.sizes() == sizes && x.strides() == strides &&
             is_negated == x.is_neg() && version == static_cast<std::uint32_t>(x._version()) &&
             type == x.scalar_type();
    }
    const at::TensorImpl* tensor;
    c10::Storage storage;
    std::int64_t offset;
    std::vector<std::int64_t> sizes, strides;
    bool is_negated;
    std::uint32_t version;
    at::ScalarType type;
  };
  std::vector<Key> keys;            // of the quantized parameters, in the order of the handles
  std::vector<at::Tensor> tensors;  // likewise
};

QuantizableLayer::QuantizableLayer(const QuantizableLayer& other)
    : plan_(other.plan_),
      training_step_(other.training_step_.load()),
      inference_step_(other.inference_step_.load()) {}

QuantizableLayer& QuantizableLayer::operator=(const QuantizableLayer& other) {
  if (this != &other) inherit(other);
  return *this;
}

void QuantizableLayer::inherit(const QuantizableLayer& other) {
  attach(other.plan_);
  training_step_ = other.training_step_.load();
  inference_step_ = other.inference_step_.load();
}

std::shared_ptr<const QuantizableLayer::Plan> QuantizableLayer::plan(LayerQuantizers quantizers) {
  ParameterOwners owners(module());
  return plan(std::move(quantizers), owners);
}

std::shared_ptr<const QuantizableLayer::Plan> QuantizableLayer::plan(LayerQuantizers quantizers,
                                                                     ParameterOwners& owners) {
  const bool wanted = quantizers.weight != nullptr || quantizers.bias != nullptr;
  const std::string place = "layer '" + quantizers.layer + "' (" + type() + ")";
  if (wanted && !obstacle().empty()) throw Error(place + ": " + obstacle());
  if (quantizers.output != nullptr && !opaque_result().empty()) {
    throw Error(place + ": forward() returns " + opaque_result() +
                ", and nothing tells where the tensors in it are; give a class a member "
                "visit_tensors(f) that calls f on each of its tensors, or exclude the layer by a "
                "rule of the extrinsic map with the value null");
  }
  auto plan = std::make_shared<Plan>();
  const std::vector<at::Tensor> handles = parameter_handles();
  const ParameterNames names(module(), handles, owners);
  const auto quantizer_of = [&quantizers](const std::string& name) {
    return is_bias(name) ? quantizers.bias : quantizers.weight;
  };
  for (const std::string& name : names.unread()) {
    if (quantizer_of(name) == nullptr) continue;
    throw Error(place + ": nothing tells which member holds the parameter '" + name +
                "'; give the class a member quantizable(f) that calls f on each parameter, or "
                "exclude the layer by a rule of the weights map with the value null");
  }
  plan->parameters.resize(handles.size());
  for (std::size_t i = 0; i < handles.size(); ++i) {
    const auto& [name, role] = names.of_handles()[i];
    if (name.empty()) continue;
    Parameter& parameter = plan->parameters[i];
    parameter.name = name;
    parameter.is_bias = is_bias(name);
    parameter.quantizer = quantizer_of(name);
    parameter.stream =
        owners.stream(handles[i], {quantizers.layer, name, parameter.quantizer, quantizers.rule,
                                   stream_of(quantizers.layer, role)});
    if (parameter.quantizer == nullptr) continue;
    plan->quantizes_parameters = true;
    plan->random_parameters |= parameter.quantizer->is_random();
  }
  if (quantizers.product != nullptr && can_round_arithmetic()) {
    LayerArithmetic& arithmetic = plan->arithmetic.emplace();
    try {
      arithmetic.arithmetic =
          make_arithmetic(*quantizers.product, *quantizers.accumulator, quantizers.accumulate,
                          quantizers.outer, quantizers.order);
    } catch (const Error& error) {
      throw Error(place + ": " + error.what());
    }
    if (quantizers.weight != nullptr) {
      arithmetic.arithmetic.weight_min_exponent = smallest_normal_exponent(*quantizers.weight);
    }
    arithmetic.context.seed = quantizers.seed;
    arithmetic.layer = quantizers.layer;
    arithmetic = arithmetic.operation(0);
    const auto& last = quantizers.outer ? quantizers.outer->accumulator : quantizers.accumulator;
    arithmetic.clips_gradient = !last->is_straight_through();
  }
  plan->quantizers = std::move(quantizers);
  return plan;
}

void QuantizableLayer::attach(std::shared_ptr<const Plan> plan) {
  plan_ = std::move(plan);
  invalidate();
  const std::lock_guard lock(ranges_mutex_);
  uses_.clear();
}

void QuantizableLayer::set_observer(std::string layer,
                                    std::shared_ptr<const OutputObserver> observer) {
  observed_name_ = std::move(layer);
  observer_ = std::move(observer);
}

void QuantizableLayer::invalidate() {
  const std::lock_guard lock(cache_mutex_);
  cache_ = nullptr;
}

std::uint32_t QuantizableLayer::begin_call(bool training) {
  return training ? training_step_.fetch_add(1) : inference_step_.load();
}

Context QuantizableLayer::context(std::uint32_t stream, std::uint32_t step, at::IntArrayRef sizes,
                                  TensorAxes axes) const {
  return {plan_->quantizers.seed, stream, step, layout_of(sizes, axes)};
}

void QuantizableLayer::quantize_parameters(std::span<at::Tensor* const> handles, bool training,
                                           std::uint32_t step) {
  std::vector<at::Tensor*> chosen;
  std::vector<const Parameter*> parameters;
  for (std::size_t i = 0; i < handles.size() && i < plan_->parameters.size(); ++i) {
    if (plan_->parameters[i].quantizer == nullptr || !handles[i]->defined()) continue;
    chosen.push_back(handles[i]);
    parameters.push_back(&plan_->parameters[i]);
  }

  // After a forward pass with gradients comes an optimizer, and SGD writes without counting
  // versions: so such a pass drops the cache.
  const bool cacheable =
      !training && !at::GradMode::is_enabled() && !plan_->random_parameters &&
      std::none_of(chosen.begin(), chosen.end(), [](at::Tensor* x) { return x->is_inference(); });
  std::shared_ptr<const Cache> cache;
  {
    const std::lock_guard lock(cache_mutex_);
    if (!cacheable) cache_ = nullptr;
    cache = cache_;
  }
  if (cache != nullptr && cache->keys.size() == chosen.size() &&
      std::equal(cache->keys.begin(), cache->keys.end(), chosen.begin(),
                 [](const Cache::Key& key, at::Tensor* x) { return key.holds(*x); })) {
    for (std::size_t i = 0; i < chosen.size(); ++i) *chosen[i] = cache->tensors[i];
    return;
  }

  auto fresh = cacheable ? std::make_shared<Cache>() : nullptr;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (fresh) fresh->keys.emplace_back(*chosen[i]);
    const auto& quantizer = parameters[i]->quantizer;
    const Context call = context(parameters[i]->stream, step, chosen[i]->sizes(), weight_axes());
    *chosen[i] = named(plan_->quantizers.layer, [&] {
      return quantize_tensor(parameters[i]->name, at::Tensor(*chosen[i]), quantizer, call);
    });
    if (fresh) fresh->tensors.push_back(*chosen[i]);
  }
  if (fresh) {
    const std::lock_guard lock(cache_mutex_);
    cache_ = std::move(fresh);
  }
}

void QuantizableLayer::round_arithmetic(std::uint32_t step,
                                        const std::function<void(const LayerArithmetic&)>& call) {
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): called where rounds_arithmetic() holds
  LayerArithmetic arithmetic = *plan_->arithmetic;
  arithmetic.context.step = step;
  RangeReport report;
  if (records_) arithmetic.report = &report;
  std::vector<KernelUse> uses;
  arithmetic.uses = &uses;
  named(plan_->quantizers.layer, [&] { call(arithmetic); });
  const std::lock_guard lock(ranges_mutex_);
  if (records_) ranges_.merge(report);
  add_uses(uses_, uses);
}

std::vector<KernelUse> QuantizableLayer::kernel_uses() const {
  const std::lock_guard lock(ranges_mutex_);
  return uses_;
}

void QuantizableLayer::record_ranges(bool on) {
  invalidate();  // so that parameters are quantized anew, and count
  records_ = on;
  const std::lock_guard lock(ranges_mutex_);
  ranges_ = {};
  places_.clear();
}

RangeReport QuantizableLayer::ranges() const {
  const std::lock_guard lock(ranges_mutex_);
  return ranges_;
}

std::vector<PlaceReport> QuantizableLayer::place_reports() const {
  const std::lock_guard lock(ranges_mutex_);
  return places_;
}

void QuantizableLayer::record(const std::string& place,
                              const std::shared_ptr<const Quantizer>& quantizer,
                              const at::Tensor& x, const Context& context) const {
  if (!records_) return;
  const QuantizerReport report = report_of(x, *quantizer, context);
  const std::lock_guard lock(ranges_mutex_);
  const auto known = std::find_if(places_.begin(), places_.end(),
                                  [&](const PlaceReport& p) { return p.place == place; });
  if (known == places_.end()) {
    places_.push_back({place, quantizer, report});
  } else {
    known->report.merge(report);
  }
}

at::Tensor QuantizableLayer::quantize_tensor(const std::string& place, at::Tensor&& x,
                                             const std::shared_ptr<const Quantizer>& quantizer,
                                             const Context& context) const {
  record(place, quantizer, x, context);
  return plan_->quantizers.keeps_elements ? quantize_with_elements(std::move(x), quantizer, context)
                                          : quantize_consuming(std::move(x), quantizer, context);
}

std::shared_ptr<const ScaledValues> QuantizableLayer::elements_of(const at::Tensor& x) const {
  if (plan_ == nullptr || !plan_->quantizers.keeps_elements || quantizes_outputs()) return nullptr;
  return find_scaled_values(x);
}

void QuantizableLayer::carry_elements(
    const ScaledValues& values, const at::Tensor& output,
    const std::function<at::Tensor(const at::Tensor&)>& call) const {
  tensorquant::carry_elements(values, output, call,
                              "layer '" + plan_->quantizers.layer + "' (" + type() + ")");
}

void QuantizableLayer::finish_output(at::Tensor& output, std::uint32_t step, int& index) const {
  if (!output.defined() || !output.is_floating_point()) return;
  const int number = index++;
  if (quantizes_outputs()) {
    const Context context = output_context(number, step, output);
    output = named(plan_->quantizers.layer, [&] {
      return quantize_tensor(numbered(Place::output, number), std::move(output),
                             plan_->quantizers.output, context);
    });
  }
  observe(output, number);
}

void QuantizableLayer::refuse_output(const std::string& reason) const {
  if (quantizes_outputs()) throw Error("layer '" + plan_->quantizers.layer + "': " + reason);
}

at::Tensor QuantizableLayer::finish_relu(at::Tensor&& input, std::uint32_t step) const {
  const Context context = output_context(0, step, input);
  at::Tensor output = named(plan_->quantizers.layer, [&] {
    if (records_ || plan_->quantizers.keeps_elements) {
      return quantize_tensor(to_string(Place::output), at::relu(input), plan_->quantizers.output,
                             context);
    }
    return quantize_relu_consuming(std::move(input), plan_->quantizers.output, context);
  });
  observe(output, 0);
  return output;
}

Context QuantizableLayer::output_context(int index, std::uint32_t step,
                                         const at::Tensor& output) const {
  return context(stream_of(plan_->quantizers.layer, Place::output, index), step, output.sizes(),
                 {.channel = output_axis(), .reduction = output_axis()});
}

void QuantizableLayer::observe(const at::Tensor& output, int index) const {
  if (observer_ == nullptr) return;
  (*observer_)(index == 0 ? observed_name_ : observed_name_ + ":" + numbered(Place::output, index),
               output);
}

}  // namespace tensorquant
