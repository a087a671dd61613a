#ifndef TENSORQUANT_CLI_INTERRUPT_H_
#define TENSORQUANT_CLI_INTERRUPT_H_

#include <signal.h>

namespace tensorquant::cli {

// While one of these lives, the first SIGINT (ctrl-C) or SIGTERM only asks for an end; the second
// ends the process at once.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;
  // Throws an Error if an end was asked for.
  void check() const;

 private:
  struct sigaction old_int_, old_term_;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_INTERRUPT_H_
