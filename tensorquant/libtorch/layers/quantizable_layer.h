#ifndef TENSORQUANT_LIBTORCH_LAYERS_QUANTIZABLE_LAYER_H_
#define TENSORQUANT_LIBTORCH_LAYERS_QUANTIZABLE_LAYER_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"
#include "tensorquant/maps/layer_quantizers.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/quantizer_report.h"

namespace tensorquant {

// Called with a layer's name and its (quantized) output. A layer that returns several tensors has
// several calls: "lstm", "lstm:output1", ...
using OutputObserver = std::function<void(const std::string& layer, const at::Tensor& output)>;

// How the quantizer of one place of a layer has fitted what it was given.
struct PlaceReport {
  std::string place;  // a parameter's name, "weight", or "output", "output1" ...
  std::shared_ptr<const Quantizer> quantizer;
  QuantizerReport report;
};

class ParameterOwners;
struct ScaledValues;

// The half of a quantizable layer that does not depend on its class: quantizers, cache, step and
// observer. QLayer<Impl> is the other half. forward() may run in several threads at once;
// everything else here must not run beside it.
class QuantizableLayer {
 public:
  virtual ~QuantizableLayer() = default;

  // The module that this is one half of.
  virtual torch::nn::Module& module() = 0;
  // The class's name, for people: "Conv2d".
  virtual std::string type() const = 0;
  // True for layers without arithmetic, such as ReLU and max pooling: an intrinsic map has nothing
  // to round in them.
  virtual bool only_moves_values() const = 0;
  // See weight_axes_v and output_axis_v.
  virtual TensorAxes weight_axes() const = 0;
  virtual int output_axis() const = 0;
  // Whether an intrinsic map can round the layer's arithmetic: see RoundedForward.
  virtual bool can_round_arithmetic() const = 0;
  // The type that forward() returns if nothing tells where the tensors in it are; else empty.
  virtual std::string opaque_result() const = 0;

  // One tensor that forward() reads, as the layer's class shows it, and what happens to it.
  struct Parameter {
    std::string name;  // empty: an undefined tensor, or one that is no parameter of the layer
    bool is_bias = false;
    std::shared_ptr<const Quantizer> quantizer;
    std::uint32_t stream = 0;
  };
  struct Plan {
    LayerQuantizers quantizers;
    std::vector<Parameter> parameters;
    bool quantizes_parameters = false;
    bool random_parameters = false;
    std::optional<LayerArithmetic> arithmetic;  // its step is that of the call
  };
  // Throws an Error where the layer cannot be quantized like that; changes nothing but `owners`,
  // which the layers of a model share, in their order.
  std::shared_ptr<const Plan> plan(LayerQuantizers quantizers, ParameterOwners& owners);
  std::shared_ptr<const Plan> plan(LayerQuantizers quantizers);  // of a layer alone
  // Null takes the quantizers out.
  void attach(std::shared_ptr<const Plan> plan);
  const Plan* attached() const { return plan_.get(); }

  // The number of forward calls in training mode so far, which is the random step of the next one.
  std::uint32_t step() const { return training_step_; }
  void set_step(std::uint32_t step) { training_step_ = step; }
  // The random step of forward calls in evaluation mode.
  void set_inference_step(std::uint32_t step) { inference_step_ = step; }

  // Takes over the quantizers and steps of a layer of the same class.
  void inherit(const QuantizableLayer& other);

  void set_observer(std::string layer, std::shared_ptr<const OutputObserver> observer);

  // From now on each call adds to reports, which begin empty, of what it quantizes and of its
  // rounded arithmetic; that makes it several times slower. What is quantized once for several
  // calls counts once. False ends it.
  void record_ranges(bool on);
  bool records_ranges() const { return records_; }
  RangeReport ranges() const;  // of rounded arithmetic
  std::vector<PlaceReport> place_reports() const;

  // The loops of the rounded arithmetic's products since attach(), in the order of their first use.
  std::vector<KernelUse> kernel_uses() const;

  // Drops the cached quantized parameters. Needed only after the parameters were written behind
  // libtorch's back (through .data() or a raw pointer) in evaluation mode.
  void invalidate();

 protected:
  QuantizableLayer() = default;
  // A copy has the same quantizers and step, but its own cache and no observer.
  QuantizableLayer(const QuantizableLayer& other);
  QuantizableLayer& operator=(const QuantizableLayer& other);

  // The tensors that forward() reads as parameters, in a fixed order. They are those of the module
  // or of a copy of it.
  virtual std::vector<at::Tensor> parameter_handles() = 0;
  // Why the layer's parameters cannot be quantized; empty where they can.
  virtual std::string obstacle() const { return ""; }

  bool is_active() const { return plan_ != nullptr || observer_ != nullptr; }
  bool quantizes_parameters() const { return plan_ != nullptr && plan_->quantizes_parameters; }
  bool rounds_arithmetic() const { return plan_ != nullptr && plan_->arithmetic.has_value(); }
  bool quantizes_outputs() const { return plan_ != nullptr && plan_->quantizers.output != nullptr; }

  // Counts a forward call and gives its random step.
  std::uint32_t begin_call(bool training);
  // Replaces the tensors, which are the handles of parameter_handles() in its order, by quantized
  // ones.
  void quantize_parameters(std::span<at::Tensor* const> handles, bool training, std::uint32_t step);
  // call(arithmetic), for a call of that step.
  void round_arithmetic(std::uint32_t step,
                        const std::function<void(const LayerArithmetic&)>& call);
  // What quantizers made of the input of a layer that only moves values, and will be asked for;
  // else null. After the call its output is made of it likewise.
  std::shared_ptr<const ScaledValues> elements_of(const at::Tensor& x) const;
  void carry_elements(const ScaledValues& values, const at::Tensor& output,
                      const std::function<at::Tensor(const at::Tensor&)>& call) const;
  // Quantizes and shows one tensor of a result; `index` counts those that are floating-point
  // numbers.
  void finish_output(at::Tensor& output, std::uint32_t step, int& index) const;
  // Throws an Error if outputs are to be quantized.
  void refuse_output(const std::string& reason) const;
  // The finished output of a ReLU layer with an output quantizer.
  at::Tensor finish_relu(at::Tensor&& input, std::uint32_t step) const;

 private:
  struct Cache;

  // Of a call that quantizes a tensor of these sizes.
  Context context(std::uint32_t stream, std::uint32_t step, at::IntArrayRef sizes,
                  TensorAxes axes) const;
  Context output_context(int index, std::uint32_t step, const at::Tensor& output) const;
  at::Tensor quantize_tensor(const std::string& place, at::Tensor&& x,
                             const std::shared_ptr<const Quantizer>& quantizer,
                             const Context& context) const;
  void observe(const at::Tensor& output, int index) const;
  // Counts a tensor that is about to be quantized.
  void record(const std::string& place, const std::shared_ptr<const Quantizer>& quantizer,
              const at::Tensor& x, const Context& context) const;

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const OutputObserver> observer_;
  std::string observed_name_;
  std::atomic<std::uint32_t> training_step_ = 0;
  std::atomic<std::uint32_t> inference_step_ = 0;
  std::mutex cache_mutex_;
  std::shared_ptr<const Cache> cache_;  // guarded by cache_mutex_, immutable once there
  bool records_ = false;
  mutable std::mutex ranges_mutex_;
  RangeReport ranges_;                       // guarded by ranges_mutex_, as what follows
  mutable std::vector<PlaceReport> places_;  // in the order of their first call
  std::vector<KernelUse> uses_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_LAYERS_QUANTIZABLE_LAYER_H_
