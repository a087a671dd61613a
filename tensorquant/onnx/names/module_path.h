#ifndef TENSORQUANT_ONNX_NAMES_MODULE_PATH_H_
#define TENSORQUANT_ONNX_NAMES_MODULE_PATH_H_

#include <optional>
#include <string>
#include <string_view>

#include "tensorquant/onnx/graph/graph.h"

namespace tensorquant::onnx {

// The module that the name of a node of PyTorch's older exporter tells, which begins with "/":
// "/layer1/layer1.0/conv1/Conv" is of "layer1.0.conv1", "/Relu" of "", the model itself.
std::optional<std::string> module_in_name(std::string_view node_name);

// The module that PyTorch's newer exporter keeps in the metadata of a node, as Python writes a
// list:
// "['', 'layer1', 'layer1.0', 'relu_1']" is of "layer1.0". Nothing if it is not there or not so.
std::optional<std::string> module_in_metadata(const Node& node);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_MODULE_PATH_H_
