#include "tensorquant/cli/trace.h"

#include <nlohmann/json.hpp>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/base/text.h"

namespace tensorquant::cli {
namespace {

constexpr const char* kOrderFile = "trace.json";

}  // namespace

std::vector<std::string> read_trace_order(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) throw Error(folder.string() + ": is no folder");
  const std::filesystem::path path = folder / kOrderFile;
  const std::vector<std::byte> bytes = read_file(path);
  const std::string_view text = without_byte_order_mark(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
  try {
    return nlohmann::json::parse(text).at("layers").get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& e) {
    throw Error(path.string() + ": is no trace of 'evaluate --trace': " + e.what());
  }
}

std::string trace_order_json(const std::vector<std::string>& layers) {
  return nlohmann::json{{"layers", layers}}.dump(2) + "\n";
}

std::filesystem::path trace_file(const std::filesystem::path& folder, const std::string& layer) {
  // A layer's name may hold any character; a file's name may not hold a slash.
  std::string name = layer;
  for (char& c : name) {
    if (c == '/') c = '_';
  }
  return folder / (name + ".npy");
}

}  // namespace tensorquant::cli
