#include "tensorquant/mpi/run_ranks.h"
#include "tests/kills/simulated_sweep.h"

int main(int argc, char** argv) {
  using namespace tensorquant;
  return run_ranks(argc, argv, simulated_evaluator(argc, argv),
                   [&](Workers* ranks) { return simulated_sweep(argc, argv, ranks); });
}
