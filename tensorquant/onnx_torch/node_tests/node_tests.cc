// onnx_node_tests FOLDER: runs each test below it, a folder with model.onnx,
// test_data_set_0/input_0.pb and output_0.pb and so on, as ONNX ships them. Writes a line a test:
// "passed NAME" or "failed NAME: reason".

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/onnx_model.h"
#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;

// What ONNX's own runner allows.
constexpr double kRelative = 1e-3, kAbsolute = 1e-7;

std::vector<at::Tensor> tensors_of(const fs::path& folder, const std::string& kind) {
  std::vector<at::Tensor> found;
  for (int i = 0;; ++i) {
    const fs::path path = folder / (kind + "_" + std::to_string(i) + ".pb");
    if (!fs::exists(path)) return found;
    found.push_back(onnx_torch::tensor_of(onnx::read_tensor_file(path)));
  }
}

std::string type_and_sizes(const at::Tensor& x) {
  return std::string(at::toString(x.scalar_type())) + " " +
         onnx::to_string({x.sizes().data(), x.sizes().size()});
}

void require_close(const at::Tensor& found, const at::Tensor& expected) {
  if (!found.defined()) throw Error("no output");
  if (found.scalar_type() != expected.scalar_type() || found.sizes() != expected.sizes()) {
    throw Error("expected " + type_and_sizes(expected) + ", found " + type_and_sizes(found));
  }
  const bool is_close =
      expected.is_floating_point()
          ? at::allclose(found.to(at::kDouble), expected.to(at::kDouble), kRelative, kAbsolute,
                         /*equal_nan=*/true)
          : at::equal(found, expected);
  if (is_close) return;
  const at::Tensor difference = (found.to(at::kDouble) - expected.to(at::kDouble)).abs();
  throw Error("differs by up to " + std::to_string(difference.max().item<double>()));
}

void run_test(const fs::path& folder) {
  const auto model = load_onnx(folder / "model.onnx");
  const fs::path data = folder / "test_data_set_0";
  const std::vector<at::Tensor> expected = tensors_of(data, "output");
  const std::vector<at::Tensor> found = model->forward(tensors_of(data, "input"));
  if (found.size() != expected.size()) throw Error("another number of outputs");
  for (std::size_t i = 0; i < found.size(); ++i) require_close(found[i], expected[i]);
}

std::vector<fs::path> tests_below(const fs::path& root) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().filename() == "model.onnx") folders.push_back(entry.path().parent_path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

void run_tests(const fs::path& root) {
  for (const fs::path& folder : tests_below(root)) {
    const std::string name = folder.filename().string();
    try {
      run_test(folder);
      std::printf("passed %s\n", name.c_str());
    } catch (const std::exception& error) {
      const std::string text = error.what();
      std::printf("failed %s: %s\n", name.c_str(), text.substr(0, text.find('\n')).c_str());
    }
  }
}

}  // namespace
}  // namespace tensorquant

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  at::set_num_threads(1);  // the tensors are small
  const at::NoGradGuard no_gradients;
  tensorquant::run_tests(argv[1]);
  return 0;
}
