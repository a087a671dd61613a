#ifndef TENSORQUANT_BASE_OWN_THREAD_POOL_H_
#define TENSORQUANT_BASE_OWN_THREAD_POOL_H_

#include "tensorquant/base/parallel.h"

namespace tensorquant {

// The library's own pool: openmp_thread_pool.cc or std_thread_pool.cc, as TENSORQUANT_OPENMP says.
// It never dies, so that threads can use it while the process ends.
ThreadPool& own_thread_pool();

// What set_num_threads() asked for; 0 where the pool decides.
int wanted_threads();

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_OWN_THREAD_POOL_H_
