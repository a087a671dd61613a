#ifndef TENSORQUANT_BASE_PARALLEL_H_
#define TENSORQUANT_BASE_PARALLEL_H_

#include <cstddef>
#include <functional>

namespace tensorquant {

// Threads that the library may use. Derive from this class to lend it a host's own.
class ThreadPool {
 public:
  virtual ~ThreadPool() = default;

  // How many tasks are worth giving to it at a time.
  virtual int threads() const = 0;

  // Calls task(0) ... task(tasks - 1), each once, on any threads and in any order, and returns when
  // all have returned. Tasks do not throw. Several threads may call this at the same time.
  virtual void run(int tasks, const std::function<void(int)>& task) = 0;
};

// Runs its tasks on the thread that calls it.
ThreadPool& serial_thread_pool();

// The pool of every thread that has no ScopedThreadPool; null for the library's own, which is
// OpenMP's or, where it is built without, one of std::threads that sleep while there is nothing to
// do. The pool must outlive its use.
void set_thread_pool(ThreadPool* pool);

// The pool of the calling thread while it lives.
class ScopedThreadPool {
 public:
  explicit ScopedThreadPool(ThreadPool& pool);
  ~ScopedThreadPool();
  ScopedThreadPool(const ScopedThreadPool&) = delete;
  ScopedThreadPool& operator=(const ScopedThreadPool&) = delete;

 private:
  ThreadPool* outer_;
};

// How many threads the library's own pool uses, in the whole process; 0 for as many as OpenMP or
// the machine offers, which is where it begins.
void set_num_threads(int threads);

// How many threads a call from here can use: those of the calling thread's pool, 1 within a
// parallel loop.
int num_threads();

// Calls body(begin, end) for ranges that together are [0, count), each but the last a multiple of
// `block` long: on the threads of the caller's pool where the work is worth it, else in one call.
// Calls from within a body that runs beside others are serial. Where bodies throw, all others are
// finished and the exception of the first range goes to the caller.
void parallel_for(std::size_t count, std::size_t block,
                  const std::function<void(std::size_t begin, std::size_t end)>& body);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_PARALLEL_H_
