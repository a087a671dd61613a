#include "tensorquant/onnx/wire/model.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <limits>

#include "tensorquant/base/test_files.h"
#include "tensorquant/onnx/wire/wire_writer.h"

namespace tensorquant::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

ModelProto parsed(const Bytes& file) { return parse_model(file, "file"); }

// A model around a graph.
std::string model_of(const WireWriter& graph) {
  WireWriter model;
  model.integer(1, 8);
  model.message(7, graph);
  return model.written();
}

std::string model_of_tensor(const WireWriter& tensor) {
  WireWriter graph;
  graph.message(5, tensor);
  return model_of(graph);
}

WireWriter tensor(std::vector<std::int64_t> dims, DataType type) {
  WireWriter writer;
  for (const std::int64_t dim : dims) writer.integer(1, dim);
  writer.integer(2, static_cast<std::int64_t>(type));
  writer.text(8, "w");
  return writer;
}

std::string error_in(const std::string& file) {
  return error_of([&] { parsed(bytes_of(file)); });
}

// One of everything that the structs hold.
ModelProto full_model() {
  ModelProto model;
  model.ir_version = 10;
  model.operator_sets = {{"", 20}, {"own", 1}};
  model.producer_name = "test";
  model.producer_version = "1";
  model.domain = "here";
  model.model_version = -2;
  model.metadata = {{"key", "value"}};
  GraphProto& graph = model.graph;
  graph.name = "g";
  graph.metadata = {{"a", ""}};
  const float numbers[] = {1.5f, -0.0f};
  graph.initializers.push_back(make_tensor(DataType::f32, {2}, std::as_bytes(std::span(numbers))));
  graph.initializers.back().name = "w";
  graph.initializers.back().metadata = {{"b", "c"}};
  Tensor external = make_tensor(DataType::i64, {3}, {});
  external.external = {"weights.bin", 4096, 24};
  graph.initializers.push_back(external);
  Tensor text = make_tensor(DataType::string, {2}, {});
  text.strings = {"", "two"};
  graph.initializers.push_back(text);
  graph.inputs = {{"x",
                   TensorType{DataType::f32, {{std::int64_t{1}, std::string("n"), std::string()}}},
                   "",
                   {{"k", "v"}}}};
  graph.outputs = {{"y", TensorType{DataType::f16, std::nullopt}, "", {}}};
  graph.values = {{"sequence", std::nullopt, std::string("\x22\x00", 2), {}}};
  NodeProto node = {"n", "own", "Op", "o", {"x", "", "w"}, {"y", ""}, {}, {{"m", "n"}}};
  const auto attribute = [&](const char* name, AttributeType type) -> Attribute& {
    Attribute& one = node.attributes.emplace_back();
    one.name = name;
    one.type = type;
    return one;
  };
  attribute("f", AttributeType::f).f = -1.5f;
  attribute("i", AttributeType::i).i = std::numeric_limits<std::int64_t>::min();
  attribute("s", AttributeType::s).s = std::string("a\0b", 3);
  attribute("tensor", AttributeType::tensor).tensors = {graph.initializers[0]};
  attribute("floats", AttributeType::floats).floats = {0.0f, 2.0f};
  attribute("ints", AttributeType::ints).ints = {0, -1};
  attribute("strings", AttributeType::strings).strings = {"", "b"};
  attribute("tensors", AttributeType::tensors).tensors = {graph.initializers[0], text};
  attribute("none", AttributeType::ints);
  GraphProto inner;
  inner.nodes.push_back({"", "", "Relu", "", {"x"}, {"z"}, {}, {}});
  attribute("graph", AttributeType::graph).graphs = {inner};
  attribute("graphs", AttributeType::graphs).graphs = {inner, inner};
  attribute("reference", AttributeType::f).reference = "alpha";
  graph.nodes.push_back(node);
  FunctionProto function;
  function.domain = "own";
  function.name = "Op";
  function.overload = "o";
  function.inputs = {"a"};
  function.outputs = {"b"};
  function.attributes = {"alpha"};
  function.defaults = {node.attributes[0]};
  function.nodes = {{"", "", "Relu", "", {"a"}, {"b"}, {}, {}}};
  function.operator_sets = {{"", 20}};
  function.values = graph.outputs;
  function.metadata = {{"x", "y"}};
  model.functions.push_back(function);
  return model;
}

TEST(ModelTest, ReadingGivesBackWhatWasWritten) {
  const ModelProto model = full_model();
  const std::string file = serialize_model(model);
  const ModelProto again = parsed(bytes_of(file));
  EXPECT_TRUE(again == model);
  EXPECT_EQ(serialize_model(again), file);
}

TEST(ModelTest, NumbersInTheirOwnFieldsAreReadAsRawData) {
  WireWriter floats = tensor({2}, DataType::f32);
  floats.float32(4, 1.5f);
  floats.float32(4, -2.0f);
  WireWriter bytes = tensor({3}, DataType::i8);
  bytes.text(5, std::string("\x01\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12));  // packed
  WireWriter nibbles = tensor({3}, DataType::int4);
  nibbles.integer(5, 0x21);
  nibbles.integer(5, 0x03);
  EXPECT_THAT(parsed(bytes_of(model_of_tensor(floats))).graph.initializers[0].as<float>(),
              ElementsAre(1.5f, -2.0f));
  EXPECT_THAT(parsed(bytes_of(model_of_tensor(bytes))).graph.initializers[0].as<std::int8_t>(),
              ElementsAre(1, 127, -1));
  EXPECT_THAT(parsed(bytes_of(model_of_tensor(nibbles))).graph.initializers[0].as<std::uint8_t>(),
              ElementsAre(0x21, 0x03));
}

TEST(ModelTest, AFileOfOneTensorIsReadWhateverItsType) {
  for (int number = 1; number <= static_cast<int>(DataType::int2); ++number) {
    const auto type = static_cast<DataType>(number);
    if (type == DataType::string) continue;
    const std::string data(byte_count(type, std::vector<std::int64_t>{3}).value(), '\x15');
    WireWriter written = tensor({3}, type);
    written.text(9, data);
    const Tensor read = parse_tensor(bytes_of(written.written()), "file");
    EXPECT_EQ(read.type, type);
    EXPECT_THAT(read.dims, ElementsAre(3)) << number;
    EXPECT_EQ(read.bytes, bytes_of(data)) << number;
  }
  WireWriter text = tensor({1}, DataType::string);
  text.text(6, "word");
  EXPECT_THAT(parse_tensor(bytes_of(text.written()), "file").strings, ElementsAre("word"));
}

TEST(ModelTest, AFileOfOneTensorThatIsNoneIsAnError) {
  const auto error = [](const std::string& file) {
    return error_of([&] { parse_tensor(bytes_of(file), "input_0.pb"); });
  };
  EXPECT_THAT(error(""), HasSubstr("tensor '': is of undefined, which is not known"));
  EXPECT_THAT(error("text"), StartsWith("input_0.pb: byte 0"));
  WireWriter cut = tensor({2}, DataType::f32);
  cut.text(9, "1234");
  EXPECT_THAT(error(cut.written()), HasSubstr("expected 8 bytes, found 4"));
  WireWriter outside = tensor({2}, DataType::f32);
  outside.integer(14, 1);
  EXPECT_EQ(error(outside.written()), "input_0.pb: external data of a tensor that is in no model");
  EXPECT_THAT(error_of([] { read_tensor_file("/nowhere/input_0.pb"); }),
              HasSubstr("/nowhere/input_0.pb"));
}

TEST(ModelTest, ATensorWhoseDataDoNotFitIsAnError) {
  WireWriter few = tensor({2}, DataType::f32);
  few.text(9, "abcd");
  EXPECT_THAT(error_in(model_of_tensor(few)),
              AllOf(StartsWith("file: byte "),
                    HasSubstr("tensor 'w': dimensions [2] of float: expected 8 bytes, found 4")));
  WireWriter many = tensor({1}, DataType::i64);
  many.integer(7, 1);
  many.integer(7, 2);
  EXPECT_THAT(error_in(model_of_tensor(many)), HasSubstr("more elements than its dimensions [1]"));
  WireWriter other = tensor({1}, DataType::i64);
  other.integer(5, 1);
  EXPECT_THAT(error_in(model_of_tensor(other)), HasSubstr("the field of another type than int64"));
  WireWriter large = tensor({1}, DataType::u8);
  large.integer(5, 256);
  EXPECT_THAT(error_in(model_of_tensor(large)), HasSubstr("256 is no uint8"));
  WireWriter twice = tensor({1}, DataType::u8);
  twice.integer(5, 1);
  twice.text(9, "a");
  EXPECT_THAT(error_in(model_of_tensor(twice)), HasSubstr("stand there twice"));
  EXPECT_THAT(error_in(model_of_tensor(tensor({-1}, DataType::u8))), HasSubstr("[-1]: not a size"));
  EXPECT_THAT(error_in(model_of_tensor(tensor({1LL << 40, 1LL << 40}, DataType::u8))),
              HasSubstr("not a size"));
  EXPECT_THAT(error_in(model_of_tensor(tensor({1}, DataType(99)))), HasSubstr("of type 99"));
}

// The largest size that this process had so far.
std::size_t peak_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) << 10;
}

TEST(ModelTest, ALieOfTwoGigabytesCostsNoMemory) {
  WireWriter raw = tensor({1LL << 29}, DataType::f32);
  raw.text(9, std::string(1000, 'x'));
  WireWriter none = tensor({1LL << 31}, DataType::u8);
  std::string length = model_of(WireWriter());
  length += std::string("\x3a\xff\xff\xff\xff\x07", 6) + std::string(1000, 'x');  // 2^31 - 1 bytes
  const std::size_t before = peak_bytes();
  EXPECT_THAT(error_in(model_of_tensor(raw)), HasSubstr("expected 2147483648 bytes, found 1000"));
  EXPECT_THAT(error_in(model_of_tensor(none)), HasSubstr("expected 2147483648 bytes, found 0"));
  EXPECT_THAT(error_in(length), HasSubstr("a length of 2147483647 bytes where the message has "));
  EXPECT_LT(peak_bytes() - before, 16U << 20);
}

TEST(ModelTest, ErrorsNameTheByte) {
  EXPECT_EQ(error_in(""), "file: is not an ONNX model: it has no graph");
  EXPECT_EQ(error_in(std::string("\x08\x08\x80", 3)),
            "file: byte 2: the message ends inside an integer");
  EXPECT_EQ(error_in("\x08\x08\x08" + std::string(10, '\xff')),
            "file: byte 2: an integer of more than 64 bits");
  EXPECT_EQ(error_in("\x08\x08\x0b"),
            "file: byte 2: wire type 3: is not the protobuf of an ONNX model");
  EXPECT_EQ(error_in(std::string("\x00\x00", 2)), "file: byte 0: no field has the number 0");
  EXPECT_EQ(error_in("\x3d"
                     "abcd"),
            "file: byte 0: field 7: expected a length and bytes, found 4 bytes");
  WireWriter model;
  model.integer(1, 99);
  model.message(7, WireWriter());
  EXPECT_EQ(error_in(model.written()), "file: IR version 99: expected 3 to 14");
}

// A graph in an attribute of a node of a graph ..., so often.
WireWriter nested(int depth) {
  WireWriter graph;
  for (int i = 0; i < depth; ++i) {
    WireWriter attribute, node, outer;
    attribute.text(1, "a");
    attribute.message(6, graph);
    attribute.integer(20, 5);
    node.text(4, "If");
    node.message(5, attribute);
    outer.message(1, node);
    graph = outer;
  }
  return graph;
}

TEST(ModelTest, NestingHasALimit) {
  EXPECT_EQ(parsed(bytes_of(model_of(nested(21)))).graph.nodes.size(), 1U);
  EXPECT_THAT(error_in(model_of(nested(22))), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(error_in(model_of(nested(10000))), HasSubstr("nested more than 64 deep"));
}

TEST(ModelTest, AttributesOfTwoKindsAndUnknownKindsAreErrors) {
  const auto error_with = [](const WireWriter& attribute) {
    WireWriter node, graph;
    node.message(5, attribute);
    graph.message(1, node);
    return error_in(model_of(graph));
  };
  WireWriter two, other, unknown, none;
  two.integer(3, 1);
  two.float32(2, 1);
  EXPECT_THAT(error_with(two), HasSubstr("an attribute with values of two types"));
  other.text(1, "a");
  other.integer(3, 1);
  other.integer(20, 1);
  EXPECT_THAT(error_with(other), HasSubstr("attribute 'a': its value is of another type"));
  unknown.integer(20, 11);
  EXPECT_THAT(error_with(unknown), HasSubstr("values of type 11 are not supported"));
  none.integer(20, 4);
  EXPECT_THAT(error_with(none), HasSubstr("expected one tensor"));
}

// Two bytes of a file would be a struct of some hundred bytes.
TEST(ModelTest, NodesWithoutAnOperatorAndAttributesWithoutANameAreErrors) {
  WireWriter graph, unnamed, reference;
  graph.message(1, WireWriter());
  EXPECT_THAT(error_in(model_of(graph)), HasSubstr("a node without an operator"));
  unnamed.integer(20, 2);
  reference.text(21, "a");
  for (const WireWriter& attribute : {unnamed, reference}) {
    WireWriter outer, made;
    made.text(4, "Relu");
    made.message(5, attribute);
    outer.message(1, made);
    EXPECT_THAT(error_in(model_of(outer)), HasSubstr("attribute '': it has no name"));
  }
}

TEST(ModelTest, NoCutAndNoChangedByteDoesHarm) {
  const Bytes file = bytes_of(serialize_model(full_model()));
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes shorter = cut(file, size);
    try {
      parsed(shorter);  // whole where the cut is between two fields of the model
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), StartsWith("file: "));
    }
  }
  expect_no_harm_from_any_changed_byte(file, file.size(), parsed);
}

}  // namespace
}  // namespace tensorquant::onnx
