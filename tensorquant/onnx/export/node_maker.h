#ifndef TENSORQUANT_ONNX_EXPORT_NODE_MAKER_H_
#define TENSORQUANT_ONNX_EXPORT_NODE_MAKER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

Attribute int_attribute(const std::string& name, std::int64_t value);
Attribute text_attribute(const std::string& name, const std::string& value);
Attribute tensor_attribute(const std::string& name, Tensor value);

Tensor float_tensor(std::span<const float> values);  // of one axis, or a scalar if it is one value
Tensor code_tensor(DataType type, std::int64_t code);  // a scalar of an integer type

// A chain of nodes that begins at one value. Names of what it makes begin with `prefix`, which
// nobody else uses.
class NodeMaker {
 public:
  // Where constants stand: a function has no initializers.
  enum class Constants { initializers, nodes };

  NodeMaker(std::string prefix, std::int64_t version, Constants constants)
      : prefix_(std::move(prefix)), version_(version), constants_(constants) {}

  // Of the standard's operators.
  std::int64_t version() const { return version_; }
  // Error unless the model's operators are of this version or a newer one.
  void require(std::int64_t version) const;

  // The name of the node's one output.
  std::string add(const std::string& type, std::vector<std::string> inputs,
                  std::vector<Attribute> attributes = {}, const std::string& domain = "");
  std::string constant(Tensor tensor);
  std::string constant(float value) { return constant(float_tensor({&value, 1})); }

  std::vector<NodeProto> nodes;
  std::vector<Tensor> initializers;

 private:
  std::string prefix_;
  std::int64_t version_;
  Constants constants_;
  int count_ = 0;
};

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_EXPORT_NODE_MAKER_H_
