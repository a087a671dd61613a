#include "tensorquant/onnx/names/module_path.h"

#include <vector>

namespace tensorquant::onnx {
namespace {

constexpr std::string_view kScopes = "pkg.torch.onnx.name_scopes";

// The texts of a Python list of them; nothing if it is none.
std::optional<std::vector<std::string>> python_list(std::string_view text) {
  std::vector<std::string> found;
  if (!text.starts_with('[') || !text.ends_with(']') || text.size() < 2) return std::nullopt;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const char quote = text.front();
    if (quote != '\'' && quote != '"') return std::nullopt;
    const std::size_t end = text.find(quote, 1);
    if (end == std::string_view::npos) return std::nullopt;
    found.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    if (text.starts_with(", ")) {
      text.remove_prefix(2);
    } else if (!text.empty()) {
      return std::nullopt;
    }
  }
  return found;
}

}  // namespace

std::optional<std::string> module_in_name(std::string_view node_name) {
  if (!node_name.starts_with('/')) return std::nullopt;
  std::vector<std::string_view> parts;
  for (std::size_t begin = 1, end = 0; (end = node_name.find('/', begin)) != std::string_view::npos;
       begin = end + 1) {
    parts.push_back(node_name.substr(begin, end - begin));  // the last part is the operator
  }
  std::string path;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    // The entry of a list names the list again: "layers/layers.0".
    const bool again =
        i + 1 < parts.size() && parts[i + 1].starts_with(std::string(parts[i]) + ".");
    if (!again) path += (path.empty() ? "" : ".") + std::string(parts[i]);
  }
  return path;
}

std::optional<std::string> module_in_metadata(const Node& node) {
  for (const auto& [key, value] : node.metadata) {
    if (key != kScopes) continue;
    const std::optional<std::vector<std::string>> scopes = python_list(value);
    if (!scopes || scopes->size() < 2) return std::nullopt;
    return (*scopes)[scopes->size() - 2];
  }
  return std::nullopt;
}

}  // namespace tensorquant::onnx
