#include "tensorquant/cli/trace_writer.h"

#include <unistd.h>

#include <set>
#include <system_error>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/cli/trace.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant::cli {
namespace {

namespace fs = std::filesystem;

// The folder's name without a slash at the end, plus a suffix that no other process uses.
fs::path beside(const fs::path& folder, const std::string& suffix) {
  const fs::path bare = folder.has_filename() ? folder : folder.parent_path();
  return bare.string() + "." + std::to_string(getpid()) + suffix;
}

// A folder that is removed unless it was renamed.
class NewFolder {
 public:
  explicit NewFolder(fs::path path) : path_(std::move(path)) { fs::create_directory(path_); }
  ~NewFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& path() const { return path_; }
  void rename(const fs::path& target) {
    fs::rename(path_, target);
    path_.clear();
  }

 private:
  fs::path path_;
};

void replace(const fs::path& folder, NewFolder& trace) {
  if (!fs::exists(folder)) {
    trace.rename(folder);
    return;
  }
  const fs::path old = beside(folder, ".old");
  fs::rename(folder, old);
  try {
    trace.rename(folder);
  } catch (...) {
    fs::rename(old, folder);
    throw;
  }
  fs::remove_all(old);
}

}  // namespace

void require_trace_folder(const fs::path& folder) {
  if (!fs::exists(folder)) {
    const fs::path parent = fs::absolute(beside(folder, "")).parent_path();
    if (!fs::is_directory(parent)) throw Error(parent.string() + ": no such folder");
    return;
  }
  if (!fs::is_directory(folder)) throw Error(folder.string() + ": is no folder");
  if (fs::is_empty(folder)) return;
  // Only what an earlier trace wrote is replaced.
  std::set<fs::path> known = {folder / "trace.json"};
  if (fs::exists(folder / "trace.json")) {
    for (const std::string& layer : read_trace_order(folder))
      known.insert(trace_file(folder, layer));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!known.contains(entry.path())) {
      throw Error(folder.string() + ": holds something else than a trace, which stays as it is: " +
                  entry.path().filename().string());
    }
  }
}

void write_trace(const fs::path& folder,
                 const std::vector<std::pair<std::string, at::Tensor>>& outputs) {
  require_trace_folder(folder);
  try {
    NewFolder trace(beside(folder, ".new"));
    std::vector<std::string> layers;
    for (const auto& [layer, output] : outputs) {
      layers.push_back(layer);
      write_npy(trace_file(trace.path(), layer), to_array(output));
    }
    write_file_atomically(trace.path() / "trace.json", trace_order_json(layers));
    replace(folder, trace);
  } catch (const fs::filesystem_error& error) {
    throw Error(folder.string() + ": " + error.code().message());
  }
}

}  // namespace tensorquant::cli
