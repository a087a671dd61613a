#ifndef TENSORQUANT_BASE_ERROR_H_
#define TENSORQUANT_BASE_ERROR_H_

#include <stdexcept>

namespace tensorquant {

// Every error that this library throws for bad input: one line that names the place and the reason.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_ERROR_H_
