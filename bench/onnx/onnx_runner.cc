// Runs an ONNX file in float and with 8-bit weights and outputs, for onnx_bench.py: one run for
// each line on stdin, "float", "quantized" or "profile", answered by its milliseconds. A profile is
// a run in float, and has a second number: those inside libtorch's convolutions and products.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "tensorquant/base/error.h"
#include "tensorquant/base/kept_memory.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::bench {
namespace {

constexpr int kThreads = 2;

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double milliseconds_in_products = 0;

struct Start : at::ObserverContext {
  Clock::time_point time = Clock::now();
};

bool is_product(std::string_view name) {
  return name == "aten::convolution" || name == "aten::linear" || name == "aten::matmul";
}

// Adds up the time of the products of a scope. None of them calls another one.
class ProductWatch {
 public:
  ProductWatch()
      : handle_(at::addThreadLocalCallback(
            at::RecordFunctionCallback(
                [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
                  if (!is_product(function.name())) return nullptr;
                  return std::make_unique<Start>();
                },
                [](const at::RecordFunction&, at::ObserverContext* context) {
                  if (context == nullptr) return;
                  milliseconds_in_products +=
                      milliseconds_since(static_cast<const Start*>(context)->time);
                })
                .scopes({at::RecordScope::FUNCTION}))) {
    milliseconds_in_products = 0;
  }
  ~ProductWatch() { at::removeCallback(handle_); }
  ProductWatch(const ProductWatch&) = delete;
  ProductWatch& operator=(const ProductWatch&) = delete;

 private:
  at::CallbackHandle handle_;
};

Override eight_bits() {
  Override maps;
  maps.weights = QuantizerMap({{"", "nearest,8,6"}});
  maps.extrinsic = QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic);
  return maps;
}

void save(const std::filesystem::path& path, const at::Tensor& y) {
  write_npy(path, to_array(y.contiguous()));
}

void serve(const std::string& file, const std::string& input, const std::string& output) {
  at::set_num_threads(kThreads);
  set_num_threads(kThreads);
  const at::NoGradGuard no_gradients;
  const auto floats = load_onnx(file), quantized = load_onnx(file);
  apply(quantized, eight_bits());
  const at::Tensor x = to_tensor(read_npy(input));
  const at::Tensor y = floats->forward({x}).front(), q = quantized->forward({x}).front();
  if (at::equal(y, q)) throw Error("the quantizers change nothing");
  save(output, y);  // before any line is answered
  for (std::string line; std::getline(std::cin, line);) {
    const bool profiles = line == "profile";
    if (!profiles && line != "float" && line != "quantized") throw Error("unknown: " + line);
    const OnnxModel& model = line == "quantized" ? *quantized : *floats;
    std::unique_ptr<const ProductWatch> watch;
    if (profiles) watch = std::make_unique<const ProductWatch>();
    const auto start = Clock::now();
    model.forward({x});
    const double total = milliseconds_since(start);
    std::printf("%.4f %.4f\n", total, profiles ? milliseconds_in_products : 0);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: onnx_runner MODEL.onnx INPUT.npy OUTPUT.npy\n");
    return 2;
  }
  tensorquant::keep_freed_memory();  // as the program tensorquant does
  try {
    tensorquant::bench::serve(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "onnx_runner: %s\n", error.what());
    return 1;
  }
}
