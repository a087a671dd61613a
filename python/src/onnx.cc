// ONNX files for Python's front-end: what maps call their nodes, and a plain model for its engine.

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "python/src/bindings.h"
#include "python/src/override_of.h"
#include "tensorquant/base/error.h"
#include "tensorquant/onnx/export/export_model.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx/graph/flat_model.h"
#include "tensorquant/onnx/graph/fold_batch_norms.h"
#include "tensorquant/onnx/graph/graph.h"
#include "tensorquant/onnx/names/axes.h"
#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx/wire/model.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

// Where a node is in the flat model: its place among the nodes there; of one in a subgraph that of
// the node around it, the subgraph's among that node's, and its own in the subgraph. Empty: no
// node.
using Place = std::vector<std::size_t>;

// A layer, with its nodes in the flat model.
struct OnnxLayer {
  std::string name, type, node_name, role, weight_names, bias_name, output_name;
  Place node, bias_node;
  std::vector<std::size_t> weight_inputs;
  int bias_input = -1;  // of the bias_node, if there is one; -1 without a bias
  std::vector<std::tuple<int, int, bool>> weight_axes;  // channel, reduction, turned
  std::size_t outputs = 1;                              // that rules hit
  int output_axis = 1;
};

struct OnnxFile {
  std::vector<OnnxLayer> layers;
  std::string flat;                           // the model's bytes
  std::string maps;                           // of its metadata, as JSON; empty: it has none
  std::vector<std::string> left_batch_norms;  // that could not be folded
};

std::string name_of(const onnx::Graph& graph, onnx::ValueId id) {
  return id == onnx::kNoValue ? "" : graph.values[static_cast<std::size_t>(id)].name;
}

class Teller {
 public:
  explicit Teller(const onnx::Graph& graph) : graph_(graph) { visit(graph.block, {}); }

  OnnxLayer tell(const onnx::Layer& layer) const {
    const onnx::Node& node = *layer.node;
    OnnxLayer told;
    told.name = layer.name;
    told.type = node.op_type;
    told.node_name = node.name;
    told.role = layer.role == onnx::Layer::Role::computes ? "computes"
                : layer.role == onnx::Layer::Role::moves  ? "moves"
                                                          : "other";
    told.node = place_of(&node);
    told.bias_node = place_of(layer.bias_node);
    told.weight_inputs = layer.weight_inputs;
    for (std::size_t i = 0; i < layer.weights.size(); ++i) {
      const onnx::WeightAxes axes = onnx::weight_axes(layer, i);
      told.weight_axes.emplace_back(axes.channel, axes.reduction, axes.is_turned);
      told.weight_names += (i == 0 ? "" : ", ") + name_of(graph_, layer.weights[i]);
    }
    told.bias_name = name_of(graph_, layer.bias);
    if (layer.bias != onnx::kNoValue) {
      const bool is_second = layer.bias_node != nullptr && layer.bias_node->inputs[1] == layer.bias;
      told.bias_input =
          layer.bias_node != nullptr ? (is_second ? 1 : 0) : static_cast<int>(layer.bias_input);
    }
    const onnx::Node& last = layer.bias_node != nullptr ? *layer.bias_node : node;
    if (!last.outputs.empty()) told.output_name = name_of(graph_, last.outputs.front());
    told.output_axis = onnx::output_axis(layer);
    told.outputs = onnx::quantized_outputs(layer);
    return told;
  }

 private:
  void visit(const onnx::Block& block, Place place) {
    place.push_back(0);
    for (const onnx::Node& node : block.nodes) {
      places_.emplace(&node, place);
      Place inner = place;
      inner.push_back(0);
      for (const auto& [name, subgraph] : node.blocks) {
        visit(subgraph, inner);
        ++inner.back();
      }
      ++place.back();
    }
  }

  Place place_of(const onnx::Node* node) const {
    const auto found = places_.find(node);
    return found == places_.end() ? Place() : found->second;
  }

  const onnx::Graph& graph_;
  std::unordered_map<const onnx::Node*, Place> places_;
};

OnnxFile file_of(onnx::ModelProto model, const std::string& source, bool fold_batch_norm) {
  const std::int64_t ir_version = model.ir_version;
  OnnxFile file;
  if (const auto maps = onnx::take_maps(model, source)) file.maps = maps->to_json();
  if (fold_batch_norm) file.left_batch_norms = onnx::fold_batch_norms(model).left;
  const onnx::Graph graph = onnx::make_graph(std::move(model), source);
  const Teller teller(graph);
  for (const onnx::Layer& layer : onnx::layers_of(graph)) file.layers.push_back(teller.tell(layer));
  file.flat = onnx::serialize_model(onnx::flat_model(graph, ir_version));
  return file;
}

onnx::Dialect dialect_of(const std::string& word) {
  if (word == "qdq") return onnx::Dialect::qdq;
  if (word == "qonnx") return onnx::Dialect::qonnx;
  if (word == "functions") return onnx::Dialect::functions;
  throw Error("'" + word + "': expected qdq, qonnx or functions");
}

onnx::ExportOptions::Reader reader_of(const std::string& word) {
  using Reader = onnx::ExportOptions::Reader;
  if (word.empty()) return Reader::any;
  if (word == "hls4ml") return Reader::hls4ml;
  if (word == "finn") return Reader::finn;
  throw Error("'" + word + "': expected hls4ml or finn");
}

}  // namespace

void bind_onnx(nb::module_& module) {
  nb::class_<OnnxLayer>(module, "OnnxLayer", "A node of an ONNX model as maps see it.")
      .def_ro("name", &OnnxLayer::name)
      .def_ro("type", &OnnxLayer::type)
      .def_ro("node_name", &OnnxLayer::node_name)
      .def_ro("role", &OnnxLayer::role)
      .def_ro("weight_names", &OnnxLayer::weight_names)
      .def_ro("bias_name", &OnnxLayer::bias_name)
      .def_ro("output_name", &OnnxLayer::output_name)
      .def_ro("node", &OnnxLayer::node)
      .def_ro("bias_node", &OnnxLayer::bias_node)
      .def_ro("weight_inputs", &OnnxLayer::weight_inputs)
      .def_ro("bias_input", &OnnxLayer::bias_input)
      .def_ro("weight_axes", &OnnxLayer::weight_axes)
      .def_ro("outputs", &OnnxLayer::outputs)
      .def_ro("output_axis", &OnnxLayer::output_axis);
  nb::class_<OnnxFile>(module, "OnnxFile", "An ONNX model with every name looked up.")
      .def_ro("layers", &OnnxFile::layers)
      .def_prop_ro(
          "flat",
          [](const OnnxFile& file) { return nb::bytes(file.flat.data(), file.flat.size()); },
          "The model without functions, as protobuf; all constants are initializers.")
      .def_ro("left_batch_norms", &OnnxFile::left_batch_norms,
              "The names of batch normalizations that could not be folded.")
      .def_ro("maps", &OnnxFile::maps, "Those of its metadata, as JSON; empty: it has none.");
  module.def(
      "read_onnx",
      [](const std::filesystem::path& path, bool fold_batch_norm) {
        return file_of(onnx::read_model(path), path.string(), fold_batch_norm);
      },
      "path"_a, "fold_batch_norm"_a, nb::call_guard<nb::gil_scoped_release>());
  module.def(
      "parse_onnx",
      [](const nb::bytes& file, const std::string& source, bool fold_batch_norm) {
        const auto* begin = static_cast<const std::byte*>(file.data());
        return file_of(onnx::parse_model({begin, file.size()}, source), source, fold_batch_norm);
      },
      "file"_a, "source"_a, "fold_batch_norm"_a);
  module.def(
      "export_onnx",
      [](const nb::bytes& file, const std::string& path, const Maps& maps, std::uint64_t seed,
         bool strict, const std::string& dialect, bool keep_weights, bool maps_in_metadata,
         const std::string& reader, bool opaque) {
        Override override_maps = override_of(maps);
        override_maps.seed = seed;
        override_maps.strict = strict;
        const onnx::ExportOptions options = {dialect_of(dialect), keep_weights, maps_in_metadata,
                                             reader_of(reader), opaque};
        const auto* begin = static_cast<const std::byte*>(file.data());
        onnx::ModelProto model = onnx::parse_model({begin, file.size()}, "the model");
        const std::int64_t ir_version = model.ir_version;
        const onnx::Graph graph = onnx::make_graph(std::move(model), "the model");
        const onnx::ExportedModel exported =
            onnx::export_model(graph, ir_version, override_maps, options);
        onnx::write_model(path, exported.model);
        return std::tuple(exported.idle, exported.warnings);
      },
      "file"_a, "path"_a, "maps"_a, "seed"_a, "strict"_a, "dialect"_a, "keep_weights"_a,
      "maps_in_metadata"_a, "reader"_a, "opaque"_a, "Idle rules and warnings.");
}

}  // namespace tensorquant::python
