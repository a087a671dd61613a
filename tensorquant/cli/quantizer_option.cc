#include "tensorquant/cli/quantizer_option.h"

#include <CLI/CLI.hpp>

#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant::cli {

std::shared_ptr<const Quantizer> quantizer_of(const std::string& spec) {
  try {
    return make_quantizer(spec);
  } catch (const SpecError& e) {
    throw CLI::ValidationError(e.what());
  }
}

}  // namespace tensorquant::cli
