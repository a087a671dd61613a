#ifndef TENSORQUANT_MPI_RUN_RANKS_H_
#define TENSORQUANT_MPI_RUN_RANKS_H_

#include <functional>
#include <string>
#include <vector>

#include "tensorquant/sweep/workers.h"

namespace tensorquant {

// Runs `manage` on rank 0 of the MPI job that this process belongs to, with the other ranks as its
// workers, or null where it is alone. Each of them keeps an evaluator, a process of the command
// `evaluator`. Returns what `manage` does on rank 0, 0 on the others. Where a rank dies MPI ends
// the job.
int run_ranks(int argc, char** argv, const std::vector<std::string>& evaluator,
              const std::function<int(Workers* ranks)>& manage);

}  // namespace tensorquant

#endif  // TENSORQUANT_MPI_RUN_RANKS_H_
