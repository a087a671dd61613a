#include "tensorquant/cli/numeric_libraries.h"

#include <ATen/Version.h>
#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "tensorquant/kernels/simd_target.h"

namespace tensorquant::cli {
namespace {

// What stands between `before` and the next of `ends` behind it; "" where `before` is not found.
std::string part_of(std::string_view text, std::string_view before, std::string_view ends) {
  const std::size_t found = text.find(before);
  if (found == std::string_view::npos) return "";
  text.remove_prefix(found + before.size());
  return std::string(text.substr(0, text.find_first_of(ends)));
}

// Which library it is, is known to the loader alone: nothing here links to a BLAS of its own.
std::string blas_file() {
  void* sgemm = dlsym(RTLD_DEFAULT, "sgemm_");
  Dl_info place;
  if (sgemm == nullptr || dladdr(sgemm, &place) == 0 || place.dli_fname == nullptr) return "";
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(place.dli_fname, error);
  return error ? std::string(place.dli_fname) : file.string();
}

std::string blas_name() {
  if (void* config = dlsym(RTLD_DEFAULT, "openblas_get_config")) {
    return reinterpret_cast<const char* (*)()>(config)();
  }
  const std::string mkl = at::get_mkl_version();
  return mkl == "MKL not found" ? "" : mkl;
}

}  // namespace

NumericLibraries numeric_libraries() {
  NumericLibraries found;
  found.libtorch = part_of(at::show_config(), "TORCH_VERSION=", ",\n");
  found.blas = blas_name();
  found.blas_file = blas_file();
  found.onednn = part_of(at::get_mkldnn_version(), "MKL-DNN v", " ");
  found.libtorch_target = part_of(at::show_config(), "CPU capability usage: ", "\n");
  found.tensorquant_target = simd_targets().front().name;
  return found;
}

nlohmann::ordered_json to_json(const NumericLibraries& libraries) {
  const auto text = [](const std::string& value) {
    return value.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(value);
  };
  return {{"libtorch", text(libraries.libtorch)},
          {"blas", text(libraries.blas)},
          {"blas_file", text(libraries.blas_file)},
          {"onednn", text(libraries.onednn)},
          {"instruction_set",
           {{"libtorch", text(libraries.libtorch_target)},
            {"tensorquant", text(libraries.tensorquant_target)}}}};
}

std::string to_text(const NumericLibraries& libraries, int width) {
  const auto known = [](const std::string& text) { return text.empty() ? "unknown" : text; };
  const std::pair<std::string, std::string> lines[] = {
      {"libtorch", known(libraries.libtorch) + ", " + known(libraries.libtorch_target)},
      {"BLAS", libraries.blas.empty() ? known(libraries.blas_file)
                                      : libraries.blas + ", " + known(libraries.blas_file)},
      {"oneDNN", known(libraries.onednn)},
      {"kernels", known(libraries.tensorquant_target)},
  };
  std::string text;
  for (auto [name, value] : lines) {
    name.resize(std::max(name.size(), static_cast<std::size_t>(width)), ' ');
    text += name + value + "\n";
  }
  return text;
}

std::string to_line(const NumericLibraries& libraries) {
  return "libtorch " + libraries.libtorch + " " + libraries.libtorch_target + ", " +
         libraries.blas + ", oneDNN " + libraries.onednn;
}

}  // namespace tensorquant::cli
