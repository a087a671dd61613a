#ifndef TENSORQUANT_BASE_KEPT_MEMORY_H_
#define TENSORQUANT_BASE_KEPT_MEMORY_H_

#include <cstdlib>  // says whether there is a glibc
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace tensorquant {

// For the main() of a program that makes large tensors over and over: freed memory stays with the
// process. glibc gives blocks of more than 32 MiB back to the system at once, and gets each new one
// as pages that fault one by one, which may take longer than what is computed in them. Of the whole
// process, so no library should call it.
inline void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_KEPT_MEMORY_H_
