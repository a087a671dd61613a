// CPFloat, a library of headers in C; TENSORQUANT_BENCH_CPFLOAT says where a checkout with its
// submodule pcg-c lies. Compiled without and with OpenMP, each under a name of its own.
#include <pcg_variants.h>
#include <stdint.h>

// Its OpenMP half takes the size of a variable of this name, which some versions do not declare.
static pcg32_random_t* randseedf __attribute__((unused));
#include "cpfloat_binary32.h"

void TENSORQUANT_CPFLOAT_NAME(float* out, const float* in, size_t count, unsigned precision,
                              int max_exponent, int rounding) {
  static pcg32_random_t seed = PCG32_INITIALIZER;
  optstruct format = {.precision = precision,
                      .emax = max_exponent,
                      .subnormal = CPFLOAT_SUBN_USE,
                      .explim = CPFLOAT_EXPRANGE_TARG,
                      .round = (cpfloat_rounding_t)rounding,
                      .flip = CPFLOAT_NO_SOFTERR,
                      .randseedf = &seed};
  cpfloatf(out, in, count, &format);
}
