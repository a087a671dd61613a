#ifndef TENSORQUANT_CLI_QUANTIZER_OPTION_H_
#define TENSORQUANT_CLI_QUANTIZER_OPTION_H_

#include <memory>
#include <string>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant::cli {

// The quantizer of a string on the command line. A fault in it is a fault of the command line:
// CLI::ValidationError.
std::shared_ptr<const Quantizer> quantizer_of(const std::string& spec);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_QUANTIZER_OPTION_H_
