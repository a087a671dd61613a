#include "tensorquant/onnx/graph/node_order.h"

#include <string_view>
#include <unordered_map>

#include "tensorquant/base/text.h"

namespace tensorquant::onnx {
namespace {

using Makers = std::unordered_map<std::string_view, std::size_t>;

// Whether what node `from` makes depends on what node `to` makes.
bool depends_on(const std::vector<NodeProto>& nodes, const Makers& makers, std::size_t from,
                std::size_t to) {
  std::vector<bool> seen(nodes.size());
  std::vector<std::size_t> waiting = {from};
  while (!waiting.empty()) {
    const std::size_t node = waiting.back();
    waiting.pop_back();
    if (node == to) return true;
    if (seen[node]) continue;
    seen[node] = true;
    for (const std::string& input : nodes[node].inputs) {
      const auto maker = makers.find(input);
      if (maker != makers.end()) waiting.push_back(maker->second);
    }
  }
  return false;
}

}  // namespace

std::string describe_node(const NodeProto& node) {
  const std::string type = " (" + shortened(node.op_type, 80) + ")";
  if (!node.name.empty()) return "node '" + shortened(node.name, 80) + "'" + type;
  for (const std::string& output : node.outputs) {
    if (!output.empty()) return "the node of '" + shortened(output, 80) + "'" + type;
  }
  return "a node without outputs" + type;
}

std::string why_missing(const std::vector<NodeProto>& nodes, std::size_t reader,
                        const std::string& value) {
  Makers makers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const std::string& output : nodes[i].outputs) {
      if (!output.empty()) makers.emplace(output, i);
    }
  }
  const auto maker = makers.find(value);
  if (maker == makers.end()) return "which nothing before it makes";
  if (depends_on(nodes, makers, maker->second, reader)) {
    return "which depends on what it makes: a cycle";
  }
  return "which " + describe_node(nodes[maker->second]) +
         " makes later: the nodes are not in topological order";
}

}  // namespace tensorquant::onnx
