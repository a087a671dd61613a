// The reference of a quantizer string for raw little-endian float32, for a second hand to check:
//
//   reference STRING < IN > OUT
//
// Exit code 0: done, 2: the string or the input is wrong.

#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/formats/format.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {
namespace {

std::vector<float> read_all(std::FILE* file) {
  std::vector<float> values;
  float buffer[4096];
  for (std::size_t count; (count = std::fread(buffer, sizeof(float), 4096, file)) > 0;) {
    values.insert(values.end(), buffer, buffer + count);
  }
  return values;
}

int run(const std::string& spec) {
  const auto quantizer = make_quantizer(spec);
  const std::vector<float> in = read_all(stdin);
  std::vector<float> out(in.size());
  std::visit(
      [&](const auto& format) {
        quantize_reference(format, std::span<const float>(in), std::span<float>(out), Context{});
      },
      *quantizer->format());
  const bool complete = std::fwrite(out.data(), sizeof(float), out.size(), stdout) == out.size();
  return complete && std::fflush(stdout) == 0 ? 0 : 2;
}

}  // namespace
}  // namespace tensorquant

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: reference STRING < IN > OUT");
    return tensorquant::run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reference: %s\n", error.what());
    return 2;
  }
}
