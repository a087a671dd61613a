#ifndef TENSORQUANT_TESTS_KILLS_SIMULATED_SWEEP_H_
#define TENSORQUANT_TESTS_KILLS_SIMULATED_SWEEP_H_

#include <string>
#include <vector>

#include "tensorquant/sweep/workers.h"

// A sweep without a network: its tasks are numbers, its evaluators sleep.
//   STORE TASKS MILLISECONDS EVALUATOR LOG [--jobs N] [--dies TASK] [--takes-all TASK] [--retry]
// Prints {"evaluations": ..., "seconds": ..., "processor_seconds": ...}, the last of this process.
namespace tensorquant {

int simulated_sweep(int argc, char** argv, Workers* ranks);

std::vector<std::string> simulated_evaluator(int argc, char** argv);

}  // namespace tensorquant

#endif  // TENSORQUANT_TESTS_KILLS_SIMULATED_SWEEP_H_
