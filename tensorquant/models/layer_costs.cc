#include "tensorquant/models/layer_costs.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/models/tensor_tour.h"
#include "tensorquant/search/accumulator_width.h"

namespace tensorquant {
namespace {

using torch::autograd::Node;

// Which layers' outputs a tensor is made of, from the graph of its gradient.
class Provenance {
 public:
  // The layers, by number, whose outputs lie directly before the output of layer `number`.
  std::set<std::size_t> add(const at::Tensor& output, std::size_t number) {
    const torch::autograd::Edge edge = torch::autograd::impl::gradient_edge(output);
    std::set<std::size_t> sources;
    find(edge.function.get(), sources);
    makers_[edge.function.get()] = number;  // a layer that returns its input has its node
    kept_.push_back(edge);
    return sources;
  }

 private:
  void find(Node* node, std::set<std::size_t>& sources) const {
    if (const auto maker = makers_.find(node); maker != makers_.end()) {
      sources.insert(maker->second);
      return;
    }
    for (const auto& edge : node->next_edges()) {
      if (edge.function != nullptr) find(edge.function.get(), sources);
    }
  }

  std::map<Node*, std::size_t> makers_;
  std::vector<torch::autograd::Edge> kept_;  // the nodes, which an image itself does not keep
};

bool multiplies_weights(torch::nn::Module& module) {
  return dynamic_cast<torch::nn::Conv2dImpl*>(&module) != nullptr ||
         dynamic_cast<torch::nn::LinearImpl*>(&module) != nullptr;
}

void count_parameters(torch::nn::Module& module, LayerFacts& facts) {
  for (const auto& item : module.named_parameters()) {
    (is_bias(item.key()) ? facts.biases : facts.weights) += item.value().numel();
  }
  if (!multiplies_weights(module)) return;
  facts.terms = module.named_parameters()["weight"][0].numel();
  facts.macs = facts.outputs * facts.terms;
}

// The layer's parameter of that name as its quantizer makes it, and that quantizer.
struct QuantizedParameter {
  at::Tensor values;  // undefined where the layer has none
  std::shared_ptr<const Quantizer> quantizer;
};

QuantizedParameter quantized_parameter(const ModelLayer& layer, const std::string& name) {
  const at::NoGradGuard no_grad;
  const at::Tensor parameter = parameter_of(layer, name);
  if (!parameter.defined()) return {};
  QuantizedParameter result = {parameter, nullptr};
  const QuantizableLayer::Plan* const plan = layer.twin->attached();
  if (plan == nullptr) return result;
  for (const QuantizableLayer::Parameter& one : plan->parameters) {
    if (one.name != name || one.quantizer == nullptr) continue;
    const Context context = {plan->quantizers.seed, one.stream, 0,
                             layout_of(parameter.sizes(), layer.twin->weight_axes())};
    result = {quantize(result.values, *one.quantizer, context), one.quantizer};
  }
  return result;
}

std::vector<double> scaled_values(const at::Tensor& values, int fraction) {
  const at::Tensor all = values.to(at::kDouble).contiguous();
  std::vector<double> codes(all.data_ptr<double>(), all.data_ptr<double>() + all.numel());
  for (double& code : codes) code = std::ldexp(code, fraction);
  return codes;
}

// Not that of a transposed convolution.
bool lies_output_by_output(const QuantizableLayer& layer, const at::Tensor& weight) {
  const int channel = layer.weight_axes().channel;
  return channel == 0 || channel + weight.dim() == 0;
}

std::optional<int> worst_case_of(const ModelLayer& layer, const LayerFacts& facts,
                                 const LayerFormats& formats, const Operand& input) {
  const Operand& operand = formats.weight;
  if (facts.macs == 0) return std::nullopt;
  const QuantizedParameter weight = quantized_parameter(layer, "weight");
  const QuantizedParameter bias = quantized_parameter(layer, "bias");
  const bool has_codes = formats.weights && operand.fixed_point && input.fixed_point;
  if (!has_codes || !lies_output_by_output(*layer.twin, weight.values)) {
    return worst_case_bits(facts.terms, operand, input);
  }
  const int fraction = operand.fixed_point->fraction;
  std::vector<std::int64_t> codes;
  for (const double code : scaled_values(weight.values, fraction)) {
    codes.push_back(static_cast<std::int64_t>(code));
  }
  std::vector<double> biases;
  if (bias.values.defined()) {
    biases = scaled_values(bias.values, fraction + input.fixed_point->fraction);
  }
  return worst_case_bits(
      codes, facts.terms, biases,
      {input.fixed_point->lowest_integer(), input.fixed_point->highest_integer()});
}

}  // namespace

std::vector<LayerFacts> layer_facts(const ModelInfo& info, ImageClassifier& model) {
  strip(model);
  model.eval();
  const at::AutoGradMode with_gradients(true);
  const at::Tensor image = at::zeros({1, info.channels, info.height, info.width}).requires_grad_();
  const std::map<std::string, ModelLayer> layers = layers_by_name(model);
  std::vector<LayerFacts> all;
  Provenance provenance;
  set_output_observer(model, [&](const std::string& name, const at::Tensor& output) {
    const ModelLayer& layer = layers.at(name);
    LayerFacts facts;
    facts.layer = name;
    facts.type = layer.type;
    facts.outputs = output.numel();
    facts.moves_values = layer.twin->only_moves_values();
    for (const std::size_t source : provenance.add(output, all.size())) {
      facts.sources.push_back(all[source].layer);
      facts.inputs += all[source].outputs;
    }
    if (facts.sources.empty()) facts.inputs = image.numel();
    count_parameters(*layer.module, facts);
    all.push_back(std::move(facts));
  });
  model.forward(image);
  set_output_observer(model, {});
  return all;
}

std::vector<LayerFormats> layer_formats(ModelRef model, const std::vector<LayerFacts>& facts) {
  const std::map<std::string, ModelLayer> layers = layers_by_name(model);
  std::vector<LayerFormats> all;
  for (const LayerFacts& fact : facts) {
    const ModelLayer& layer = layers.at(fact.layer);
    LayerFormats& formats = all.emplace_back();
    if (const QuantizableLayer::Plan* const plan = layer.twin->attached()) {
      const LayerQuantizers& quantizers = plan->quantizers;
      formats.weight = operand_of(quantizers.weight.get());
      formats.bias = operand_of(quantizers.bias.get());
      if (quantizers.output != nullptr) formats.output = operand_of(quantizers.output.get());
      if (quantizers.accumulator != nullptr) {
        formats.accumulator = operand_of(quantizers.accumulator.get()).bits;
      }
    }
    if (fact.macs == 0) continue;
    const QuantizedParameter weight = quantized_parameter(layer, "weight");
    const at::Tensor values = weight.values.to(at::kFloat).contiguous();
    formats.weights =
        count_codes(weight.quantizer.get(),
                    {values.data_ptr<float>(), static_cast<std::size_t>(values.numel())});
  }
  return all;
}

std::vector<std::optional<int>> worst_case_accumulators(ModelRef model,
                                                        const std::vector<LayerFacts>& facts,
                                                        const std::vector<LayerFormats>& formats,
                                                        const MapCost& cost) {
  const std::map<std::string, ModelLayer> layers = layers_by_name(model);
  std::vector<std::optional<int>> bits;
  for (std::size_t i = 0; i < facts.size(); ++i) {
    bits.push_back(
        worst_case_of(layers.at(facts[i].layer), facts[i], formats[i], cost.layers[i].input));
  }
  return bits;
}

}  // namespace tensorquant
