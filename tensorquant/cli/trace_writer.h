#ifndef TENSORQUANT_CLI_TRACE_WRITER_H_
#define TENSORQUANT_CLI_TRACE_WRITER_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tensorquant::cli {

// Writes a trace as trace.h describes it. The folder appears whole or not at all: it is written
// beside and renamed. It may replace an earlier trace or an empty folder, nothing else.
void write_trace(const std::filesystem::path& folder,
                 const std::vector<std::pair<std::string, at::Tensor>>& outputs);

// Throws an Error where write_trace() could not write there: to be called before long work.
void require_trace_folder(const std::filesystem::path& folder);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_TRACE_WRITER_H_
