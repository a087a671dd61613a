#ifndef TENSORQUANT_ONNX_GRAPH_PROTO_SIZE_H_
#define TENSORQUANT_ONNX_GRAPH_PROTO_SIZE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

// About the bytes of memory that a copy of the nodes takes.
std::size_t proto_size(const std::vector<NodeProto>& nodes);
std::size_t proto_size(const std::vector<std::string>& names);
std::size_t proto_size(const std::vector<Attribute>& attributes);
std::size_t proto_size(const Attribute& attribute);

// How much inlined functions may add to a model: functions that call each other twice grow with two
// to the power of their number.
std::size_t proto_size_limit(const ModelProto& model);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_PROTO_SIZE_H_
