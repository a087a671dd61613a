#ifndef TENSORQUANT_KERNELS_KERNELS_H_
#define TENSORQUANT_KERNELS_KERNELS_H_

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

#include "tensorquant/base/random.h"
#include "tensorquant/formats/format.h"
#include "tensorquant/kernels/part.h"

namespace tensorquant {

// part.out = quantize_reference(format, part.in), bit for bit, on the calling thread, for formats
// whose results depend on their own number and its place alone; with part.scales, which formats
// that round at random do not take, what Scaled makes of it. part.in and part.out may be the same
// memory.
void quantize_part(const Identity& format, const RandomStream&, const Part<float>& part);
void quantize_part(const Identity& format, const RandomStream&, const Part<double>& part);
void quantize_part(const FixedPoint& format, const RandomStream& random, const Part<float>& part);
void quantize_part(const FixedPoint& format, const RandomStream& random, const Part<double>& part);
void quantize_part(const FloatingPoint& format, const RandomStream& random,
                   const Part<float>& part);
void quantize_part(const FloatingPoint& format, const RandomStream& random,
                   const Part<double>& part);
void quantize_part(const P3109& format, const RandomStream& random, const Part<float>& part);
void quantize_part(const P3109& format, const RandomStream& random, const Part<double>& part);
void quantize_part(const Posit& format, const RandomStream& random, const Part<float>& part);
void quantize_part(const Posit& format, const RandomStream& random, const Part<double>& part);
void quantize_part(const Logarithmic& format, const RandomStream&, const Part<float>& part);
void quantize_part(const Logarithmic& format, const RandomStream&, const Part<double>& part);
void quantize_part(const NormalFloat4& format, const RandomStream& random, const Part<float>& part);
void quantize_part(const NormalFloat4& format, const RandomStream& random,
                   const Part<double>& part);
void quantize_part(const AdditivePowers& format, const RandomStream& random,
                   const Part<float>& part);
void quantize_part(const AdditivePowers& format, const RandomStream& random,
                   const Part<double>& part);
void quantize_part(const Sparse& format, const RandomStream&, const Part<float>& part);
void quantize_part(const Sparse& format, const RandomStream&, const Part<double>& part);
void quantize_part(const Binary& format, const RandomStream&, const Part<float>& part);
void quantize_part(const Binary& format, const RandomStream&, const Part<double>& part);
// With a threshold of its own.
void quantize_part(const Ternary& format, const RandomStream&, const Part<float>& part);
void quantize_part(const Ternary& format, const RandomStream&, const Part<double>& part);

// out = quantize_reference(format, in), bit for bit, for every format, on all threads. in and out
// have one size; they may be the same memory.
template <class F, class T>
void quantize(const F& format, std::span<const T> in, std::span<T> out,
              const Context& context = {}) {
  for_each_part(in, out,
                [&](const Part<T>& part) { quantize_part(format, context.random(), part); });
}
template <class T>
void quantize(const Identity& format, std::span<const T> in, std::span<T> out,
              const Context& = {}) {
  if (in.data() == out.data()) return;
  for_each_part(in, out, [&](const Part<T>& part) { quantize_part(format, {}, part); });
}
void quantize(const Ternary& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Ternary& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});

void quantize(const Scaled& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Scaled& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});

// split_reference(): the elements go to q, the groups' scales are returned. q may be in.
std::vector<float> split(const Scaled& format, std::span<const float> in, std::span<float> q,
                         const Context& context = {});
std::vector<double> split(const Scaled& format, std::span<const double> in, std::span<double> q,
                          const Context& context = {});

// ternary_threshold_reference(x), bit for bit, whatever the number of threads.
double ternary_threshold(std::span<const float> x);
double ternary_threshold(std::span<const double> x);

// dx = dy where limits.lowest <= x <= limits.highest, else 0; NaN gives 0. All have one size; dx
// may be dy.
void clip_gradient(Bounds<float> limits, std::span<const float> x, std::span<const float> dy,
                   std::span<float> dx);
void clip_gradient(Bounds<double> limits, std::span<const double> x, std::span<const double> dy,
                   std::span<double> dx);

// inside[i] is whether clipped_gradient_reference() gives dy at x[i]. The spans have one size.
void find_inside(const Scaled& format, std::span<const float> x, std::span<bool> inside,
                 const Context& context = {});
void find_inside(const Scaled& format, std::span<const double> x, std::span<bool> inside,
                 const Context& context = {});

// over = overflows_reference(format, x), for every format, on all threads. The spans have one size.
template <class F, class T>
void find_overflows(const F& format, std::span<const T> x, std::span<bool> over,
                    const Context& context = {}) {
  parallel_for(x.size(), kPartBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    const Bounds<T> limits = bounds<T>(format);  // what lies between them never overflows
    for (std::size_t i = begin; i < end; ++i) {
      over[i] = is_outside(limits, x[i]) && std::isfinite(x[i]) &&
                overflows(format, x[i], context.random(), i);
    }
  });
}
void find_overflows(const Scaled& format, std::span<const float> x, std::span<bool> over,
                    const Context& context = {});
void find_overflows(const Scaled& format, std::span<const double> x, std::span<bool> over,
                    const Context& context = {});

// clipped_gradient_reference(). dx may be dy.
void clip_gradient(const Scaled& format, std::span<const float> x, std::span<const float> dy,
                   std::span<float> dx, const Context& context = {});
void clip_gradient(const Scaled& format, std::span<const double> x, std::span<const double> dy,
                   std::span<double> dx, const Context& context = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_KERNELS_H_
