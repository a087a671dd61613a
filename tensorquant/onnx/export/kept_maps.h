#ifndef TENSORQUANT_ONNX_EXPORT_KEPT_MAPS_H_
#define TENSORQUANT_ONNX_EXPORT_KEPT_MAPS_H_

#include <optional>
#include <string>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/onnx/wire/model.h"

// Maps in the metadata of an exported model, beside nodes that stand for them: what reads the maps
// does without these nodes.
namespace tensorquant::onnx {

// Writes the maps into the model's metadata.
void keep_maps(ModelProto& model, const Override& maps);

// Marks nodes that stand for a quantizer. The export has given the name `added` to one of the two
// values at their ends; the other one has the name that the value had before there were two.
void mark_quantizer(std::vector<NodeProto>& nodes, const std::string& original,
                    const std::string& added);

// Takes the maps out of a model, with the nodes that stand for them and what else belongs to its
// export: what is left is the model before it, but for weights that were written quantized. Nothing
// where a model has no maps; it is as it was then. Errors name `source`.
std::optional<Override> take_maps(ModelProto& model, const std::string& source);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_EXPORT_KEPT_MAPS_H_
