#ifndef TENSORQUANT_QUANTIZERS_SPEC_ERROR_H_
#define TENSORQUANT_QUANTIZERS_SPEC_ERROR_H_

#include <cstddef>
#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant {

// A fault in a quantizer string: "quantizer 'neares,8,4', column 1: unknown name 'neares', did you
// mean 'nearest'?"
class SpecError : public Error {
 public:
  // `column` counts from 1.
  SpecError(const std::string& spec, std::size_t column, const std::string& reason)
      : Error("quantizer '" + spec + "', column " + std::to_string(column) + ": " + reason),
        spec_(spec),
        column_(column),
        reason_(reason) {}

  const std::string& spec() const { return spec_; }
  std::size_t column() const { return column_; }
  const std::string& reason() const { return reason_; }

 private:
  std::string spec_;
  std::size_t column_;
  std::string reason_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_SPEC_ERROR_H_
