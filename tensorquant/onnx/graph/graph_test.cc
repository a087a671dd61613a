#include "tensorquant/onnx/graph/graph.h"

#include <gmock/gmock.h>

#include "tensorquant/base/test_files.h"
#include "tensorquant/onnx/graph/flat_model.h"

namespace tensorquant::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

NodeProto node(const std::string& type, Texts inputs, Texts outputs, const std::string& name = "") {
  NodeProto made;
  made.op_type = type;
  made.name = name;
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

ValueInfo value(const std::string& name) {
  return {name, TensorType{DataType::f32, std::nullopt}, "", {}};
}

Tensor number(const std::string& name, float x) {
  Tensor tensor = make_tensor(DataType::f32, {}, std::as_bytes(std::span(&x, 1)));
  tensor.name = name;
  return tensor;
}

// x -> nodes -> y
ModelProto model_of(std::vector<NodeProto> nodes) {
  ModelProto model;
  model.ir_version = 8;
  model.operator_sets = {{"ai.onnx", 17}};
  model.graph.nodes = std::move(nodes);
  model.graph.inputs = {value("x")};
  model.graph.outputs = {value("y")};
  return model;
}

std::string error_of_graph(ModelProto model) {
  return error_of([&] { make_graph(std::move(model), "file"); });
}

std::string error_of_nodes(std::vector<NodeProto> nodes) {
  return error_of_graph(model_of(std::move(nodes)));
}

const std::string& name(const Graph& graph, ValueId id) {
  return graph.values.at(static_cast<std::size_t>(id)).name;
}

Texts names(const Graph& graph, const std::vector<ValueId>& ids) {
  Texts found;
  for (const ValueId id : ids) found.push_back(id == kNoValue ? "" : name(graph, id));
  return found;
}

Texts operators(const Block& block) {
  Texts found;
  for (const Node& one : block.nodes) found.push_back(one.op_type);
  return found;
}

TEST(GraphTest, LooksEveryNameUp) {
  ModelProto model = model_of({node("Clip", {"x", "", "top"}, {"a"}), node("Relu", {"a"}, {"y"})});
  model.graph.initializers = {number("top", 6)};
  const Graph graph = make_graph(model, "file");
  EXPECT_THAT(names(graph, graph.block.inputs), ElementsAre("x"));
  EXPECT_THAT(names(graph, graph.block.outputs), ElementsAre("y"));
  EXPECT_THAT(names(graph, graph.block.nodes[0].inputs), ElementsAre("x", "", "top"));
  EXPECT_EQ(graph.block.nodes[0].version, 17);
  const Value& top = graph.values.at(static_cast<std::size_t>(graph.block.nodes[0].inputs[2]));
  ASSERT_NE(top.constant, nullptr);
  EXPECT_THAT(top.constant->as<float>(), ElementsAre(6));
}

TEST(GraphTest, AnInputWithAnInitializerIsAConstant) {
  ModelProto model = model_of({node("Add", {"x", "w"}, {"y"})});
  model.graph.inputs.push_back(value("w"));
  model.graph.initializers = {number("w", 2)};
  const Graph graph = make_graph(model, "file");
  EXPECT_THAT(names(graph, graph.block.inputs), ElementsAre("x"));
}

TEST(GraphTest, FaultsOfTheOrderNameTheNode) {
  EXPECT_EQ(error_of_nodes({node("Add", {"x", "z"}, {"y"}, "add")}),
            "file: node 'add' (Add): reads 'z', which nothing before it makes");
  EXPECT_EQ(
      error_of_nodes({node("Relu", {"a"}, {"y"}), node("Abs", {"x"}, {"a"}, "abs")}),
      "file: the node of 'y' (Relu): reads 'a', which node 'abs' (Abs) makes later: the nodes "
      "are not in topological order");
  EXPECT_EQ(error_of_nodes({node("Add", {"x", "b"}, {"a"}), node("Abs", {"a"}, {"b"}),
                            node("Abs", {"b"}, {"y"})}),
            "file: the node of 'a' (Add): reads 'b', which depends on what it makes: a cycle");
  EXPECT_EQ(error_of_nodes({node("Add", {"y", "x"}, {"y"})}),
            "file: the node of 'y' (Add): reads 'y', which depends on what it makes: a cycle");
}

TEST(GraphTest, AValueHasOneMaker) {
  EXPECT_EQ(error_of_nodes({node("Abs", {"x"}, {"y"}, "one"), node("Neg", {"x"}, {"y"}, "two")}),
            "file: node 'two' (Neg): 'y' has another maker already");
  EXPECT_EQ(error_of_nodes({node("Abs", {"x"}, {"x"}, "one")}),
            "file: node 'one' (Abs): 'x' has another maker already");
  ModelProto model = model_of({});
  model.graph.inputs.push_back(value("x"));
  EXPECT_EQ(error_of_graph(model), "file: the graph's inputs: 'x' has another maker already");
}

TEST(GraphTest, OutputsThatNothingMakesAndDomainsWithoutVersionsAreErrors) {
  EXPECT_EQ(error_of_nodes({}), "file: the graph's output 'y': nothing makes it");
  NodeProto own = node("Own", {"x"}, {"y"});
  own.domain = "own";
  EXPECT_EQ(error_of_nodes({own}),
            "file: the node of 'y' (Own): the model has no version of the operators of the domain "
            "'own'");
}

TEST(GraphTest, ConstantNodesAreConstants) {
  NodeProto constant = node("Constant", {}, {"c"});
  Attribute& attribute = constant.attributes.emplace_back();
  attribute.name = "value_ints";
  attribute.type = AttributeType::ints;
  attribute.ints = {3, -4};
  const Graph graph = make_graph(model_of({constant, node("Add", {"x", "c"}, {"y"})}), "file");
  EXPECT_THAT(operators(graph.block), ElementsAre("Add"));
  const Value& c = graph.values.at(static_cast<std::size_t>(graph.block.nodes[0].inputs[1]));
  ASSERT_NE(c.constant, nullptr);
  EXPECT_EQ(c.constant->type, DataType::i64);
  EXPECT_THAT(c.constant->dims, ElementsAre(2));
  EXPECT_THAT(c.constant->as<std::int64_t>(), ElementsAre(3, -4));
  constant.attributes[0].name = "sparse_value";
  EXPECT_THAT(
      error_of_nodes({constant}),
      HasSubstr("the node of 'c' (Constant): attribute 'sparse_value': there is no such value"));
}

TEST(GraphTest, SubgraphsReadTheValuesAroundThem) {
  NodeProto choice = node("If", {"x"}, {"y"}, "if");
  for (const char* branch : {"then_branch", "else_branch"}) {
    Attribute& attribute = choice.attributes.emplace_back();
    attribute.name = branch;
    attribute.type = AttributeType::graph;
    GraphProto& graph = attribute.graphs.emplace_back();
    graph.nodes = {node("Neg", {"a"}, {"z"})};
    graph.outputs = {value("z")};
  }
  const Graph graph = make_graph(model_of({node("Abs", {"x"}, {"a"}), choice}), "file");
  const Node& made = graph.block.nodes[1];
  ASSERT_EQ(made.blocks.size(), 2U);
  EXPECT_EQ(made.blocks[0].name, "then_branch");
  EXPECT_EQ(made.blocks[0].block.nodes[0].inputs, graph.block.nodes[0].outputs);
  EXPECT_NE(made.blocks[0].block.outputs, made.blocks[1].block.outputs);
  // What a branch makes is seen in it alone.
  EXPECT_THAT(error_of_nodes({node("Abs", {"x"}, {"a"}), choice, node("Relu", {"z"}, {"w"})}),
              HasSubstr("reads 'z', which nothing before it makes"));
}

// own.Scale(a, b) = Elu(a, alpha = the call's "slope", else 2) + b
FunctionProto scale_function() {
  FunctionProto function;
  function.domain = "own";
  function.name = "Scale";
  function.inputs = {"a", "b"};
  function.outputs = {"c"};
  Attribute& standard = function.defaults.emplace_back();
  standard.name = "slope";
  standard.type = AttributeType::f;
  standard.f = 2;
  NodeProto elu = node("Elu", {"a"}, {"t"}, "elu");
  Attribute& alpha = elu.attributes.emplace_back();
  alpha.name = "alpha";
  alpha.type = AttributeType::f;
  alpha.reference = "slope";
  function.nodes = {elu, node("Add", {"t", "b"}, {"c"})};
  function.operator_sets = {{"", 13}};
  return function;
}

NodeProto call(const std::string& function, Texts inputs, Texts outputs, const std::string& name) {
  NodeProto made = node(function, std::move(inputs), std::move(outputs), name);
  made.domain = "own";
  return made;
}

TEST(GraphTest, FunctionsAreInlinedWithTheCallsAttributes) {
  NodeProto second = call("Scale", {"m", "x"}, {"y"}, "second");
  Attribute& slope = second.attributes.emplace_back();
  slope.name = "slope";
  slope.type = AttributeType::f;
  slope.f = 3;
  ModelProto model = model_of({call("Scale", {"x", "x"}, {"m"}, "first"), second});
  model.functions = {scale_function()};
  const Graph graph = make_graph(model, "file");
  const std::vector<Node>& nodes = graph.block.nodes;
  ASSERT_THAT(operators(graph.block), ElementsAre("Elu", "Add", "Elu", "Add"));
  EXPECT_EQ(nodes[0].name, "first/elu");
  EXPECT_EQ(nodes[0].version, 13);
  EXPECT_EQ(find_attribute(nodes[0], "alpha")->f, 2);
  EXPECT_EQ(find_attribute(nodes[2], "alpha")->f, 3);
  EXPECT_THAT(names(graph, nodes[0].outputs), ElementsAre("first/t"));
  EXPECT_THAT(names(graph, nodes[1].outputs), ElementsAre("m"));
  EXPECT_EQ(nodes[2].inputs, nodes[1].outputs);
  EXPECT_THAT(names(graph, graph.block.outputs), ElementsAre("y"));
}

TEST(GraphTest, FunctionsThatNeverEndAreErrors) {
  FunctionProto one = scale_function();
  one.nodes = {call("Scale", {"a", "b"}, {"c"}, "again")};
  ModelProto model = model_of({call("Scale", {"x", "x"}, {"y"}, "call")});
  model.functions = {one};
  EXPECT_EQ(error_of_graph(model), "file: node 'again' (Scale): the function calls itself");
}

Attribute reference(const std::string& name, const std::string& to, AttributeType type) {
  Attribute made;
  made.name = name;
  made.type = type;
  made.reference = to;
  return made;
}

// A node whose subgraph is the call's attribute "body".
NodeProto choice_of_the_calls_body() {
  NodeProto choice = node("If", {"a"}, {"c"}, "if");
  choice.attributes = {reference("then_branch", "body", AttributeType::graph)};
  return choice;
}

Attribute body_with(NodeProto inner) {
  Attribute body;
  body.name = "body";
  body.type = AttributeType::graph;
  GraphProto& graph = body.graphs.emplace_back();
  graph.outputs = {value(inner.outputs.front())};
  graph.nodes = {std::move(inner)};
  return body;
}

TEST(GraphTest, ReferencesInACallsGraphAreTheCallers) {
  // Outside of a function there is nothing that they refer to.
  FunctionProto function = scale_function();
  function.inputs = {"a"};
  function.defaults.clear();
  function.nodes = {choice_of_the_calls_body()};
  NodeProto inner = choice_of_the_calls_body();
  inner.inputs = {};
  NodeProto made = call("Scale", {"x"}, {"y"}, "call");
  made.attributes = {body_with(inner)};
  ModelProto model = model_of({made});
  model.functions = {function};
  const Graph graph = make_graph(model, "file");
  ASSERT_EQ(graph.block.nodes.at(0).blocks.size(), 1U);
  EXPECT_TRUE(graph.block.nodes[0].blocks[0].block.nodes.at(0).blocks.empty());
}

TEST(GraphTest, SubgraphsThatFunctionsPutIntoEachOtherHaveALimit) {
  // F0 has the graph in use; each other puts it into one more.
  ModelProto model = model_of({call("F63", {"x"}, {"y"}, "call")});
  for (int i = 0; i < 64; ++i) {
    FunctionProto& function = model.functions.emplace_back();
    function.domain = "own";
    function.name = "F" + std::to_string(i);
    function.inputs = {"a"};
    function.outputs = {"c"};
    function.operator_sets = {{"", 13}};
    function.nodes = {choice_of_the_calls_body()};
    if (i == 0) continue;
    NodeProto inner = choice_of_the_calls_body();
    inner.inputs = {};
    NodeProto twice = inner;
    twice.attributes = {inner.attributes[0]};
    inner.attributes = {body_with(twice)};
    inner.attributes[0].name = "then_branch";
    function.nodes = {call("F" + std::to_string(i - 1), {"a"}, {"c"}, "inner")};
    function.nodes[0].attributes = {body_with(inner)};
  }
  model.graph.nodes[0].attributes = {body_with(node("Constant", {}, {"c"}, "end"))};
  Attribute& number =
      model.graph.nodes[0].attributes[0].graphs[0].nodes[0].attributes.emplace_back();
  number.name = "value_float";
  number.type = AttributeType::f;
  EXPECT_EQ(error_of_graph(model), "file: subgraphs lie more than 64 deep in each other");
}

TEST(GraphTest, ADefaultThatRefersToAnAttributeIsAnError) {
  NodeProto inner = choice_of_the_calls_body();
  for (const Attribute& standard :
       {reference("body", "other", AttributeType::graph), body_with(inner)}) {
    ModelProto model = model_of({call("Scale", {"x"}, {"y"}, "call")});
    model.functions = {scale_function()};
    model.functions[0].defaults = {standard};
    EXPECT_EQ(error_of_graph(model),
              "file: function 'Scale': the default of its attribute 'body' refers to another "
              "attribute");
  }
}

TEST(GraphTest, WhatACallCopiesOftenIsCountedAsGrowth) {
  FunctionProto function = scale_function();
  function.inputs = {"a"};
  function.nodes.clear();
  for (int i = 0; i < 20000; ++i) {
    function.nodes.push_back(node("Relu", {"a"}, {i == 0 ? "c" : "c" + std::to_string(i)}));
  }
  // The name of the call, which stands before each name in the function.
  ModelProto names = model_of({call("Scale", {"x"}, {"y"}, std::string(100'000, 'n'))});
  names.functions = {function};
  EXPECT_THAT(error_of_graph(names), HasSubstr("far larger than its file"));
  // An attribute of the call, which each node takes over.
  for (NodeProto& one : function.nodes) {
    one.attributes = {reference("text", "slope", AttributeType::s)};
  }
  NodeProto made = call("Scale", {"x"}, {"y"}, "call");
  Attribute& text = made.attributes.emplace_back();
  text.name = "slope";
  text.type = AttributeType::s;
  text.s.assign(100'000, 's');
  ModelProto copies = model_of({made});
  copies.functions = {function};
  EXPECT_THAT(error_of_graph(copies), HasSubstr("far larger than its file"));
  // A function's outputs, which each call looks up.
  function.nodes = {node("Relu", {"a"}, {"c"})};
  function.inputs.insert(function.inputs.end(), 20'000, std::string(40, 'i'));
  std::vector<NodeProto> calls(1000, call("Scale", {"x"}, {}, "call"));
  calls.push_back(call("Scale", {"x"}, {"y"}, "last"));
  ModelProto inputs = model_of(calls);
  inputs.functions = {function};
  EXPECT_THAT(error_of_graph(inputs), HasSubstr("far larger than its file"));
}

TEST(GraphTest, FunctionsThatGrowWithoutMeasureAreErrors) {
  ModelProto model = model_of({call("F40", {"x"}, {"y"}, "call")});
  for (int i = 0; i <= 40; ++i) {
    FunctionProto& function = model.functions.emplace_back();
    function.domain = "own";
    function.name = "F" + std::to_string(i);
    function.inputs = {"a"};
    function.outputs = {"c"};
    function.operator_sets = {{"", 13}};
    const std::string inner = "F" + std::to_string(i - 1);
    if (i == 0) {
      function.nodes = {node("Abs", {"a"}, {"c"})};
    } else {
      function.nodes = {call(inner, {"a"}, {"b"}, "1"), call(inner, {"b"}, {"c"}, "2")};
    }
  }
  EXPECT_THAT(error_of_graph(model), HasSubstr("far larger than its file"));
}

TEST(GraphTest, ALeftOutInputOfAFunctionIsLeftOutInside) {
  ModelProto model = model_of({call("Scale", {"x"}, {"y"}, "call")});
  model.functions = {scale_function()};
  const Graph graph = make_graph(model, "file");
  EXPECT_THAT(names(graph, graph.block.nodes[1].inputs), ElementsAre("call/t", ""));
}

TEST(FlatModelTest, HasTheNodesOfFunctionsAndConstantsAsInitializers) {
  ModelProto model = model_of({call("Scale", {"x", "two"}, {"y"}, "call")});
  model.functions = {scale_function()};
  model.graph.initializers = {number("two", 2)};
  EXPECT_EQ(
      error_of([&] { flat_model(make_graph(model, "file"), 3); }),
      "file: node 'call/elu' (Elu): is of version 13 of its operators, the model of version 17");
  model.operator_sets = {{"", 13}};
  const ModelProto flat = flat_model(make_graph(model, "file"), 3);
  EXPECT_TRUE(flat.functions.empty());
  EXPECT_EQ(flat.ir_version, 4);
  const Graph graph = make_graph(flat, "flat");
  EXPECT_THAT(operators(graph.block), operators(make_graph(model, "file").block));
  EXPECT_THAT(names(graph, graph.block.nodes[1].inputs), ElementsAre("call/t", "two"));
  EXPECT_THAT(names(graph, graph.block.outputs), ElementsAre("y"));
}

TEST(FlatModelTest, AnOutputThatIsAValueOfAnotherNameIsACopyOfIt) {
  FunctionProto same;
  same.domain = "own";
  same.name = "Same";
  same.inputs = same.outputs = {"a"};
  ModelProto model = model_of({call("Same", {"x"}, {"y"}, "call")});
  model.functions = {same};
  model.graph.outputs = {value("x"), value("y"), value("two")};
  model.graph.initializers = {number("two", 2)};
  const ModelProto flat = flat_model(make_graph(model, "file"), 8);
  const Graph graph = make_graph(flat, "flat");
  EXPECT_THAT(operators(graph.block), ElementsAre("Identity"));
  EXPECT_THAT(graph.output_names, ElementsAre("x", "y", "two"));
}

TEST(FlatModelTest, ValuesOfOneNameInTwoBranchesHaveTwoNames) {
  const auto branch = [](const std::string& attribute, const std::string& type) {
    Attribute made;
    made.name = attribute;
    made.type = AttributeType::graph;
    GraphProto& graph = made.graphs.emplace_back();
    graph.initializers = {number("w", type == "Add" ? 1 : 2)};
    graph.nodes = {node(type, {"x", "w"}, {"z"})};
    graph.outputs = {value("z")};
    return made;
  };
  NodeProto choice = node("If", {"x"}, {"y"});
  choice.attributes = {branch("then_branch", "Add"), branch("else_branch", "Mul")};
  const ModelProto flat = flat_model(make_graph(model_of({choice}), "file"), 8);
  ASSERT_EQ(flat.graph.initializers.size(), 2U);
  EXPECT_EQ(flat.graph.initializers[0].name, "w");
  EXPECT_EQ(flat.graph.initializers[1].name, "w#2");
  const GraphProto& second = flat.graph.nodes[0].attributes[1].graphs[0];
  EXPECT_THAT(second.nodes[0].inputs, ElementsAre("x", "w#2"));
  EXPECT_THAT(second.nodes[0].outputs, ElementsAre("z#2"));
}

TEST(GraphTest, EveryModelOfTheDevelopersHasAGraph) {
  const std::filesystem::path models = large_folder() / "onnx_models";
  SKIP_IF_MISSING(models);
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    if (!entry.is_directory()) continue;
    const std::filesystem::path path = entry.path() / "model.onnx";
    const ModelProto model = read_model(path);
    EXPECT_TRUE(parse_model(bytes_of(serialize_model(model)), "again") == model) << path;
    const Graph graph = make_graph(model, path.string());
    EXPECT_GT(graph.block.nodes.size(), 0U);
    ++count;
  }
  EXPECT_EQ(count, 14);
}

}  // namespace
}  // namespace tensorquant::onnx
