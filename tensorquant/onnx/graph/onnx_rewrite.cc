// onnx_rewrite IN OUT: reads a model, looks its graph up, and writes it again.

#include <cstdio>
#include <exception>

#include "tensorquant/onnx/graph/graph.h"
#include "tensorquant/onnx/wire/model.h"

int main(int argc, char** argv) {
  using namespace tensorquant::onnx;
  if (argc != 3) return 2;
  try {
    const ModelProto model = read_model(argv[1]);
    make_graph(model, argv[1]);
    write_model(argv[2], model);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
