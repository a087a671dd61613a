#include "python/src/openmp_pool.h"

#include <atomic>

namespace tensorquant::python {

// NOLINTBEGIN(performance-no-int-to-ptr): Python holds addresses
OpenMpPool::OpenMpPool(std::uintptr_t gomp_parallel, std::uintptr_t omp_get_max_threads)
    : parallel_(reinterpret_cast<decltype(parallel_)>(gomp_parallel)),
      max_threads_(reinterpret_cast<decltype(max_threads_)>(omp_get_max_threads)) {}
// NOLINTEND(performance-no-int-to-ptr)

void OpenMpPool::run(int tasks, const std::function<void(int)>& task) {
  struct Loop {
    const std::function<void(int)>& task;
    const int tasks;
    std::atomic<int> next = 0;
  };
  Loop loop{task, tasks};
  // The runtime may give fewer threads than it is asked for.
  const auto work = [](void* state) {
    auto& shared = *static_cast<Loop*>(state);
    for (int i = shared.next++; i < shared.tasks; i = shared.next++) shared.task(i);
  };
  parallel_(work, &loop, static_cast<unsigned>(tasks), /*flags=*/0);
}

}  // namespace tensorquant::python
