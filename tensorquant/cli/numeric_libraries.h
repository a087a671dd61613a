#ifndef TENSORQUANT_CLI_NUMERIC_LIBRARIES_H_
#define TENSORQUANT_CLI_NUMERIC_LIBRARIES_H_

#include <nlohmann/json.hpp>
#include <string>

namespace tensorquant::cli {

// What the bits of libtorch's float products and sums depend on beside seed and threads, as this
// process has it. A text that cannot be learned is "".
struct NumericLibraries {
  std::string libtorch;            // its version
  std::string blas;                // its name, version and processor family, where it tells them
  std::string blas_file;           // the file whose code runs
  std::string onednn;              // its version
  std::string libtorch_target;     // instruction set of libtorch's own loops
  std::string tensorquant_target;  // that of our kernels, on which no bit depends
};

NumericLibraries numeric_libraries();

// {"libtorch": "1.13.1", "blas": null, "blas_file": "/usr/lib/...", ...}
nlohmann::ordered_json to_json(const NumericLibraries& libraries);

// What bits depend on, as a text that is the same where they must be.
std::string to_line(const NumericLibraries& libraries);

// Lines of a name in at least `width` columns and what it is.
std::string to_text(const NumericLibraries& libraries, int width);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_NUMERIC_LIBRARIES_H_
