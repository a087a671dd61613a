#include "tensorquant/onnx/graph/fold_batch_norms.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tensorquant/onnx/graph/readers.h"
#include "tensorquant/onnx/graph/replace_constants.h"

namespace tensorquant::onnx {
namespace {

bool is_standard(const NodeProto& node) { return node.domain.empty() || node.domain == "ai.onnx"; }

const Attribute* attribute_of(const NodeProto& node, std::string_view name) {
  const auto found = std::find_if(node.attributes.begin(), node.attributes.end(),
                                  [&](const Attribute& one) { return one.name == name; });
  return found == node.attributes.end() ? nullptr : &*found;
}

float number(const NodeProto& node, std::string_view name, float left_out) {
  const Attribute* found = attribute_of(node, name);
  return found == nullptr ? left_out : found->f;
}

std::int64_t integer(const NodeProto& node, std::string_view name, std::int64_t left_out) {
  const Attribute* found = attribute_of(node, name);
  return found == nullptr ? left_out : found->i;
}

// How the elements of a weight go to outputs: `inner` neighbours belong to one, `outputs` follow
// each other, and all begins again for the next of `groups`, after `outer` times.
struct Outputs {
  std::size_t groups, outer, outputs, inner;

  std::size_t count() const { return groups * outputs; }
  std::size_t of(std::size_t element) const {
    const std::size_t group = element / (outer * outputs * inner);
    return group * outputs + element / inner % outputs;
  }
};

// Nothing for a node whose sums of products a batch normalization does not go into.
std::optional<Outputs> outputs_of(const NodeProto& node, const Tensor& weight) {
  const std::vector<std::int64_t>& dims = weight.dims;
  if (dims.size() < 2 || std::any_of(dims.begin(), dims.end(), [](auto d) { return d <= 0; })) {
    return std::nullopt;
  }
  const auto first = static_cast<std::size_t>(dims[0]), second = static_cast<std::size_t>(dims[1]);
  const std::size_t rest = *element_count(dims) / (first * second);
  if (node.op_type == "Conv") return Outputs{1, 1, first, second * rest};
  if (node.op_type == "ConvTranspose") {
    const std::int64_t groups = integer(node, "group", 1);
    if (groups < 1 || dims[0] % groups != 0) return std::nullopt;
    const auto count = static_cast<std::size_t>(groups);
    return Outputs{count, first / count, second, rest};
  }
  const bool is_plain = node.op_type == "Gemm" && dims.size() == 2 &&
                        number(node, "alpha", 1) == 1 && number(node, "beta", 1) == 1;
  if (!is_plain) return std::nullopt;
  return integer(node, "transB", 0) != 0 ? Outputs{1, 1, first, second}
                                         : Outputs{1, first, second, 1};
}

class Folding {
 public:
  explicit Folding(ModelProto& model) : graph_(model.graph), readers_(count_readers(graph_)) {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const std::string& output : graph_.nodes[i].outputs) makers_.emplace(output, i);
    }
  }

  FoldedBatchNorms run(ModelProto& model) {
    FoldedBatchNorms told;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const NodeProto& node = graph_.nodes[i];
      if (node.op_type != "BatchNormalization" || !is_standard(node)) continue;
      const std::string& output = node.outputs.empty() ? node.op_type : node.outputs.front();
      (fold(i) ? told.folded : told.left).push_back(node.name.empty() ? output : node.name);
    }
    replace_constants(model, std::move(constants_));
    for (const auto& [product, norm] : folds_) {
      graph_.nodes[product].outputs.front() = graph_.nodes[norm].outputs.front();
    }
    drop_norms();
    return told;
  }

 private:
  // Null where the name is no initializer of floats.
  const Tensor* floats(const std::string& name) const {
    const Tensor* found = find_initializer(graph_, name);
    return found == nullptr || found->type != DataType::f32 || found->external ? nullptr : found;
  }

  bool fold(std::size_t place) {
    const NodeProto& norm = graph_.nodes[place];
    const bool is_plain = norm.inputs.size() == 5 && norm.outputs.size() == 1 &&
                          integer(norm, "training_mode", 0) == 0 &&
                          integer(norm, "spatial", 1) == 1;
    const auto maker = is_plain ? makers_.find(norm.inputs[0]) : makers_.end();
    if (maker == makers_.end() || readers_[norm.inputs[0]] != 1) return false;
    NodeProto& product = graph_.nodes[maker->second];
    if (!is_standard(product) || product.inputs.size() < 2 || product.outputs.size() != 1) {
      return false;
    }
    const Tensor* weight = floats(product.inputs[1]);
    const auto outputs = weight == nullptr ? std::nullopt : outputs_of(product, *weight);
    if (!outputs) return false;
    std::vector<std::span<const float>> numbers;  // gamma, beta, mean, variance; the bias
    std::vector<std::string> names(norm.inputs.begin() + 1, norm.inputs.end());
    const bool has_bias = product.inputs.size() > 2 && !product.inputs[2].empty();
    if (has_bias) names.push_back(product.inputs[2]);
    for (const std::string& name : names) {
      const Tensor* one = floats(name);
      if (one == nullptr || one->dims.empty() ||
          one->dims.back() != static_cast<std::int64_t>(outputs->count()) ||
          one->as<float>().size() != outputs->count()) {
        return false;
      }
      numbers.push_back(one->as<float>());
    }
    const double epsilon = number(norm, "epsilon", 1e-5F);
    std::vector<double> factors;
    for (std::size_t i = 0; i < outputs->count(); ++i) {
      factors.push_back(numbers[0][i] / std::sqrt(numbers[3][i] + epsilon));
      if (!std::isfinite(factors.back())) return false;
    }

    std::vector<float> weights(weight->as<float>().begin(), weight->as<float>().end()), biases;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<float>(weights[i] * factors[outputs->of(i)]);
    }
    for (std::size_t i = 0; i < outputs->count(); ++i) {
      const double bias = has_bias ? numbers[4][i] : 0;
      biases.push_back(static_cast<float>((bias - numbers[2][i]) * factors[i] + numbers[1][i]));
    }
    const std::string& wish = product.inputs[1];
    const std::string module = wish.ends_with(".weight") ? wish.substr(0, wish.size() - 7) : wish;
    add_constant(product, 1, wish, weight->dims, weights);
    product.inputs.resize(std::max<std::size_t>(product.inputs.size(), 3));
    if (has_bias) {
      add_constant(product, 2, product.inputs[2], floats(product.inputs[2])->dims, biases);
    } else {
      add_constant(product, 2, module + ".bias", {static_cast<std::int64_t>(biases.size())},
                   biases);
    }
    folds_.emplace_back(maker->second, place);
    return true;
  }

  void add_constant(const NodeProto& node, std::size_t input, const std::string& wish,
                    std::vector<std::int64_t> dims, std::span<const float> numbers) {
    Tensor tensor = make_tensor(DataType::f32, std::move(dims), std::as_bytes(numbers));
    tensor.name = wish;
    constants_.push_back({node.outputs.front(), input, std::move(tensor)});
  }

  // With what they alone read.
  void drop_norms() {
    std::unordered_set<std::string> read_by_norms;
    std::vector<NodeProto> kept;
    std::unordered_set<std::size_t> norms;
    for (const auto& [product, norm] : folds_) norms.insert(norm);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      NodeProto& node = graph_.nodes[i];
      if (norms.contains(i)) {
        read_by_norms.insert(node.inputs.begin() + 1, node.inputs.end());
      } else {
        kept.push_back(std::move(node));
      }
    }
    graph_.nodes = std::move(kept);
    const Readers readers = count_readers(graph_);
    const auto is_gone = [&](const auto& one) {
      return read_by_norms.contains(one.name) && readers.at(one.name) == 0;
    };
    std::erase_if(graph_.inputs, is_gone);
    std::erase_if(graph_.initializers, is_gone);
  }

  GraphProto& graph_;
  Readers readers_;
  std::unordered_map<std::string, std::size_t> makers_;
  std::vector<NewConstant> constants_;
  std::vector<std::pair<std::size_t, std::size_t>> folds_;  // nodes: the product, what it takes in
};

}  // namespace

FoldedBatchNorms fold_batch_norms(ModelProto& model) { return Folding(model).run(model); }

}  // namespace tensorquant::onnx
