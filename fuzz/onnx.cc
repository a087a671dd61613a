// ONNX models: the file, its graph, and the names of its layers. The file as one tensor, too.

#include <set>

#include "fuzz/input.h"
#include "tensorquant/onnx/graph/graph.h"
#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx/wire/model.h"

using namespace tensorquant;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] { onnx::parse_tensor(Input(data, size).bytes(), "file"); });
  only_errors([&] {
    const onnx::ModelProto model = onnx::parse_model(Input(data, size).bytes(), "file");
    // Not compared as structs: a NaN is no equal of itself.
    const std::string written = onnx::serialize_model(model);
    const auto bytes = std::as_bytes(std::span(written));
    require(onnx::serialize_model(onnx::parse_model(bytes, "again")) == written,
            "what is written and read again is the same");
    const onnx::Graph graph = onnx::make_graph(model, "file");
    std::set<std::string> names;
    for (const onnx::Layer& layer : onnx::layers_of(graph)) {
      require(names.insert(layer.name).second, "no two layers have one name");
    }
  });
  return 0;
}
