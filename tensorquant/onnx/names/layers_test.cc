#include "tensorquant/onnx/names/layers.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "tensorquant/base/test_files.h"
#include "tensorquant/onnx/names/module_path.h"

namespace tensorquant::onnx {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::Optional;
using Texts = std::vector<std::string>;

NodeProto node(const std::string& type, Texts inputs, Texts outputs, const std::string& name = "") {
  NodeProto made;
  made.op_type = type;
  made.name = name;
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

Tensor floats(const std::string& name, std::vector<std::int64_t> dims) {
  const std::vector<float> zeros(element_count(dims).value());
  Tensor tensor = make_tensor(DataType::f32, std::move(dims), std::as_bytes(std::span(zeros)));
  tensor.name = name;
  return tensor;
}

// x -> nodes -> y, with constants w and v of 2 x 2 and b of 2 numbers.
Graph graph_of(std::vector<NodeProto> nodes, std::vector<Tensor> more = {}) {
  ModelProto model;
  model.operator_sets = {{"", 17}};
  model.graph.nodes = std::move(nodes);
  model.graph.inputs = {{"x", TensorType{DataType::f32, std::nullopt}, "", {}}};
  model.graph.outputs = {{"y", TensorType{DataType::f32, std::nullopt}, "", {}}};
  model.graph.initializers = {floats("w", {2, 2}), floats("v", {2, 2}), floats("b", {2})};
  for (Tensor& tensor : more) model.graph.initializers.push_back(std::move(tensor));
  return make_graph(std::move(model), "file");
}

Texts names(const Graph& graph) {
  Texts found;
  for (const Layer& layer : layers_of(graph)) found.push_back(layer.name);
  return found;
}

TEST(ModulePathTest, ComesFromTheNamesOfTheOlderExporter) {
  EXPECT_THAT(module_in_name("/layer1/layer1.0/conv1/Conv"), Optional(Eq("layer1.0.conv1")));
  EXPECT_THAT(module_in_name("/encoder/layer/layer.0/attention/self/Softmax"),
              Optional(Eq("encoder.layer.0.attention.self")));
  EXPECT_THAT(module_in_name("/Relu"), Optional(Eq("")));
  EXPECT_EQ(module_in_name("Conv_3"), std::nullopt);
}

TEST(ModulePathTest, ComesFromTheMetadataOfTheNewerExporter) {
  const auto told = [](const std::string& value) {
    Node one;
    one.metadata = {{"pkg.torch.onnx.name_scopes", value}};
    return module_in_metadata(one);
  };
  EXPECT_THAT(told("['', 'layer1', 'layer1.0', 'relu_1']"), Optional(Eq("layer1.0")));
  EXPECT_THAT(told("['', 'relu']"), Optional(Eq("")));
  EXPECT_EQ(told("['relu']"), std::nullopt);
  EXPECT_EQ(told("[1, 2]"), std::nullopt);
  EXPECT_EQ(told("['a"), std::nullopt);
}

TEST(LayersTest, ANodeWithoutAWeightHasItsOperatorBehindItsModule) {
  EXPECT_THAT(names(graph_of({node("Relu", {"x"}, {"a"}, "/block/block.0/Relu"),
                              node("Add", {"a", "x"}, {"c"}, "/Add"),
                              node("Relu", {"c"}, {"y"}, "/block/block.0/Relu_1")})),
              ElementsAre("block.0.Relu", "Add", "block.0.Relu#2"));
}

TEST(LayersTest, AWeightGivesItsModulesNameIfNobodyElseUsesIt) {
  const auto tensor = [] { return std::vector{floats("fc.weight", {2, 2})}; };
  EXPECT_THAT(names(graph_of({node("Gemm", {"x", "fc.weight"}, {"y"}, "node_3")}, tensor())),
              ElementsAre("fc"));
  EXPECT_THAT(names(graph_of({node("Transpose", {"fc.weight"}, {"t"}),
                              node("MatMul", {"x", "t"}, {"y"}, "node_3")},
                             tensor())),
              ElementsAre("t", "fc"));
  EXPECT_THAT(names(graph_of({node("Gemm", {"x", "fc.weight"}, {"a"}, "node_3"),
                              node("Gemm", {"a", "fc.weight"}, {"y"})},
                             tensor())),
              ElementsAre("node_3", "y"));
}

TEST(LayersTest, TheNamesOfNodesOrOfOutputsAreToBeHadAlone) {
  const Graph graph = graph_of({node("Relu", {"x"}, {"a"}, "/block/Relu"),
                                node("Gemm", {"a", "fc.weight"}, {"m"}), node("Neg", {"m"}, {"y"})},
                               {floats("fc.weight", {2, 2})});
  const auto names_by = [&](NameSource source) {
    Texts found;
    for (const Layer& layer : layers_of(graph, source)) found.push_back(layer.name);
    return found;
  };
  EXPECT_THAT(names_by(NameSource::canonical), ElementsAre("block.Relu", "fc", "y"));
  EXPECT_THAT(names_by(NameSource::node), ElementsAre("/block/Relu", "m", "y"));
  EXPECT_THAT(names_by(NameSource::output), ElementsAre("a", "m", "y"));
}

TEST(LayersTest, AProductAndTheConstantAddedToItAreOneLayer) {
  const Graph pair =
      graph_of({node("MatMul", {"x", "w"}, {"p"}, "fc"), node("Add", {"b", "p"}, {"y"}, "add")});
  const std::vector<Layer> layers = layers_of(pair);
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].bias_node, &pair.block.nodes[1]);
  EXPECT_EQ(pair.values.at(static_cast<std::size_t>(layers[0].bias)).name, "b");
  // Not where another node reads the product, or where the constant has more than one row.
  EXPECT_THAT(names(graph_of({node("MatMul", {"x", "w"}, {"p"}, "fc"),
                              node("Add", {"b", "p"}, {"q"}, "add"),
                              node("Mul", {"q", "p"}, {"y"}, "mul")})),
              ElementsAre("fc", "add", "mul"));
  EXPECT_THAT(names(graph_of({node("MatMul", {"x", "w"}, {"p"}, "fc"),
                              node("Add", {"v", "p"}, {"y"}, "add")})),
              ElementsAre("fc", "add"));
  // Of more axes than one it could give the sum more axes than the product has.
  EXPECT_THAT(names(graph_of({node("MatMul", {"x", "w"}, {"p"}, "fc"),
                              node("Add", {"row", "p"}, {"y"}, "add")},
                             {floats("row", {1, 1, 1, 2})})),
              ElementsAre("fc", "add"));
  // An Add without outputs, and a product of sizes, which is no layer.
  EXPECT_THAT(names(graph_of(
                  {node("MatMul", {"x", "w"}, {"y"}, "fc"), node("Add", {"b", "y"}, {}, "add")})),
              ElementsAre("fc", "add"));
  NodeProto cast = node("Cast", {"s"}, {"f"}, "cast");
  cast.attributes.emplace_back();
  cast.attributes[0].name = "to";
  cast.attributes[0].type = AttributeType::i;
  cast.attributes[0].i = static_cast<std::int64_t>(DataType::f32);
  EXPECT_THAT(names(graph_of({node("Shape", {"x"}, {"s"}, "shape"), cast,
                              node("MatMul", {"f", "w"}, {"p"}, "fc"),
                              node("Add", {"b", "p"}, {"y"}, "add")})),
              ElementsAre("shape", "cast", "fc", "add"));
}

TEST(LayersTest, AProductOfActivationsHasNoWeight) {
  const Graph graph = graph_of({node("Relu", {"x"}, {"a"}), node("MatMul", {"x", "a"}, {"y"})});
  EXPECT_TRUE(layers_of(graph)[1].weights.empty());
}

TEST(LayersTest, ACastToAnothersTypeIsNoLayerAndWhatItMakesIsOfThatType) {
  const Graph graph =
      graph_of({node("Shape", {"x"}, {"s"}), node("CastLike", {"s", "x"}, {"f"}),
                node("TopK", {"x", "f"}, {"top", "places"}), node("Mul", {"f", "top"}, {"y"})});
  const std::vector<Layer> layers = layers_of(graph);
  EXPECT_EQ(layers[1].role, Layer::Role::other);
  EXPECT_EQ(layers[2].role, Layer::Role::moves);
  EXPECT_EQ(layers[3].role, Layer::Role::computes);
}

TEST(LayersTest, ASubgraphsNodesHaveTheNameOfItsNodeBefore) {
  NodeProto choice = node("If", {"x"}, {"y"}, "choice");
  for (const char* branch : {"then_branch", "else_branch"}) {
    Attribute& attribute = choice.attributes.emplace_back();
    attribute.name = branch;
    attribute.type = AttributeType::graph;
    GraphProto& graph = attribute.graphs.emplace_back();
    graph.nodes = {node("Neg", {"x"}, {"z"}, "neg")};
    graph.outputs = {{"z", std::nullopt, "", {}}};
  }
  EXPECT_THAT(names(graph_of({choice})),
              ElementsAre("choice", "choice.then_branch.neg", "choice.else_branch.neg"));
}

TEST(LayersTest, ALongNameAroundManyNodesIsAnError) {
  NodeProto choice = node("If", {"x"}, {"y"}, std::string(100'000, 'n'));
  Attribute& attribute = choice.attributes.emplace_back();
  attribute.name = "then_branch";
  attribute.type = AttributeType::graph;
  GraphProto& graph = attribute.graphs.emplace_back();
  for (int i = 0; i < 20'000; ++i) {
    graph.nodes.push_back(node("Neg", {"x"}, {"z" + std::to_string(i)}));
  }
  graph.outputs = {{"z0", std::nullopt, "", {}}};
  const Graph made = graph_of({choice});
  EXPECT_EQ(error_of([&] { layers_of(made); }),
            "file: the names of nodes around subgraphs are too long");
}

const char* to_text(Layer::Role role) {
  return role == Layer::Role::computes ? "computes"
         : role == Layer::Role::moves  ? "moves"
                                       : "other";
}

// The rows of tests/golden/make_onnx_names.py.
std::string list_of(const std::filesystem::path& path) {
  const Graph graph = make_graph(read_model(path), path.string());
  std::string text;
  const auto name = [&](ValueId id) { return graph.values.at(static_cast<std::size_t>(id)).name; };
  for (const Layer& layer : layers_of(graph)) {
    std::string weights;
    for (const ValueId id : layer.weights) weights += (weights.empty() ? "" : " ") + name(id);
    text += layer.name + "\t" + layer.node->op_type + "\t" + to_text(layer.role) + "\t" +
            (weights.empty() ? "-" : weights) + "\t" +
            (layer.bias == kNoValue ? "-" : name(layer.bias)) + "\n";
  }
  return text;
}

TEST(LayersTest, NamesAreThoseOfASecondHand) {
  const std::filesystem::path models = large_folder() / "onnx_models";
  SKIP_IF_MISSING(models);
  int count = 0;
  for (const auto& list :
       std::filesystem::directory_iterator(source_folder() / "tests/golden/onnx_names")) {
    const std::string expected(std::istreambuf_iterator<char>(std::ifstream(list.path()).rdbuf()),
                               {});
    std::istringstream wanted(expected), found(list_of(models / list.path().stem() / "model.onnx"));
    std::string a, b;
    while (std::getline(wanted, a)) {
      std::getline(found, b);
      ASSERT_EQ(b, a) << list.path();
    }
    EXPECT_FALSE(std::getline(found, b)) << b;
    ++count;
  }
  EXPECT_EQ(count, 14);
}

// So one map fits them all.
TEST(LayersTest, BothExportsOfANetworkHaveTheSameNames) {
  const std::filesystem::path models = large_folder() / "onnx_models";
  SKIP_IF_MISSING(models);
  const auto computing = [&](const char* model) {
    const Graph graph = make_graph(read_model(models / model / "model.onnx"), model);
    Texts found;
    for (const Layer& layer : layers_of(graph)) {
      if (layer.role == Layer::Role::computes) found.push_back(layer.name);
    }
    return found;
  };
  const Texts dynamo = computing("resnet20_dynamo");
  EXPECT_EQ(dynamo.size(), 49U);
  EXPECT_EQ(computing("resnet20_legacy"), dynamo);
  EXPECT_THAT(dynamo, testing::IsSupersetOf(
                          {"conv1", "layer1.0.conv1", "layer3.2.conv2", "layer1.0.Add", "Relu"}));
}

}  // namespace
}  // namespace tensorquant::onnx
