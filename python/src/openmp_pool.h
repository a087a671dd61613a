#ifndef TENSORQUANT_PYTHON_SRC_OPENMP_POOL_H_
#define TENSORQUANT_PYTHON_SRC_OPENMP_POOL_H_

#include <cstdint>
#include <functional>

#include "tensorquant/base/parallel.h"

namespace tensorquant::python {

// The threads of an OpenMP runtime that a host has loaded. PyTorch's wait for their next loop by
// spinning, so that threads of our own beside them would share their processors.
class OpenMpPool final : public ThreadPool {
 public:
  // Addresses of the runtime's functions GOMP_parallel, which LLVM's and Intel's runtimes have too,
  // and omp_get_max_threads.
  OpenMpPool(std::uintptr_t gomp_parallel, std::uintptr_t omp_get_max_threads);

  int threads() const override { return max_threads_(); }
  void run(int tasks, const std::function<void(int)>& task) override;

 private:
  void (*parallel_)(void (*body)(void*), void* state, unsigned threads, unsigned flags);
  int (*max_threads_)();
};

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_OPENMP_POOL_H_
