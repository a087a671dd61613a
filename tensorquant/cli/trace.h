#ifndef TENSORQUANT_CLI_TRACE_H_
#define TENSORQUANT_CLI_TRACE_H_

#include <filesystem>
#include <string>
#include <vector>

namespace tensorquant::cli {

// A trace is a folder with one .npy file a layer, its output for the first batch, and trace.json,
// which names the layers in the order in which they ran: {"layers": ["Conv1", "MaxPool1"]}.

// Throws an Error where the folder holds no such file.
std::vector<std::string> read_trace_order(const std::filesystem::path& folder);

// The text of trace.json.
std::string trace_order_json(const std::vector<std::string>& layers);

// Where the output of a layer stands.
std::filesystem::path trace_file(const std::filesystem::path& folder, const std::string& layer);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_TRACE_H_
