#include "tensorquant/cli/interrupt.h"

#include "tensorquant/base/error.h"

namespace tensorquant::cli {
namespace {

volatile sig_atomic_t end_requested = 0;

void request_end(int) { end_requested = 1; }

}  // namespace

Interrupt::Interrupt() {
  end_requested = 0;
  struct sigaction action = {};
  action.sa_handler = request_end;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

bool Interrupt::requested() const { return end_requested != 0; }

void Interrupt::check() const {
  if (requested()) throw Error("interrupted");
}

}  // namespace tensorquant::cli
