#include <cstdint>
#include <fstream>
#include <string>
#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"
#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {
namespace {

namespace fs = std::filesystem;

// The file of a location: below the folder, and reached through no link.
fs::path checked_path(const fs::path& folder, const std::string& location) {
  const fs::path relative(location);
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute()) {
    throw Error("expected a path relative to the model's folder");
  }
  fs::path path = folder;
  for (const fs::path& part : relative) {
    if (part == "..") throw Error("leads out of the model's folder");
    path /= part;
    if (fs::is_symlink(fs::symlink_status(path))) throw Error("leads through a link");
  }
  if (!fs::is_regular_file(path)) throw Error("no such file");
  return path;
}

void load(Tensor& tensor, const fs::path& folder) {
  const ExternalData& external = *tensor.external;
  const fs::path path = checked_path(folder, external.location);
  const std::uintmax_t file_size = fs::file_size(path);
  const auto offset = static_cast<std::uintmax_t>(external.offset);
  const std::size_t size = byte_count(tensor.type, tensor.dims).value();
  if (offset > file_size) throw Error("offset " + std::to_string(offset) + " beyond its end");
  const std::uintmax_t length =
      external.length ? static_cast<std::uintmax_t>(*external.length) : file_size - offset;
  if (length > file_size - offset || size > file_size - offset) {
    throw Error(std::to_string(std::max<std::uintmax_t>(length, size)) + " bytes from " +
                std::to_string(offset) + " where the file has " + std::to_string(file_size));
  }
  if (length != size) {
    throw Error("dimensions " + to_string(tensor.dims) + " of " + name_of(tensor.type) +
                ": expected " + std::to_string(size) + " bytes, found " + std::to_string(length));
  }
  tensor.bytes.resize(size);
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(tensor.bytes.data()), static_cast<std::streamsize>(size));
  if (!file) throw Error("cannot read");
  tensor.external.reset();
}

class Loader {
 public:
  Loader(const fs::path& folder, const std::string& source) : folder_(folder), source_(source) {}

  void visit(Tensor& tensor) const {
    if (!tensor.external) return;
    const std::string location = tensor.external->location;
    try {
      load(tensor, folder_);
    } catch (const std::exception& error) {
      throw Error(source_ + ": tensor '" + shortened(tensor.name, 80) + "': external data '" +
                  shortened(location, 200) + "': " + error.what());
    }
  }
  void visit(std::vector<Attribute>& attributes) const {
    for (Attribute& attribute : attributes) {
      for (Tensor& tensor : attribute.tensors) visit(tensor);
      for (GraphProto& graph : attribute.graphs) visit(graph);
    }
  }
  void visit(std::vector<NodeProto>& nodes) const {
    for (NodeProto& node : nodes) visit(node.attributes);
  }
  void visit(GraphProto& graph) const {
    for (Tensor& tensor : graph.initializers) visit(tensor);
    visit(graph.nodes);
  }

 private:
  const fs::path& folder_;
  const std::string& source_;
};

}  // namespace

void load_external_data(ModelProto& model, const fs::path& folder, const std::string& source) {
  const Loader loader(folder, source);
  loader.visit(model.graph);
  for (FunctionProto& function : model.functions) {
    loader.visit(function.nodes);
    loader.visit(function.defaults);
  }
}

}  // namespace tensorquant::onnx
