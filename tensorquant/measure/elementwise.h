#ifndef TENSORQUANT_MEASURE_ELEMENTWISE_H_
#define TENSORQUANT_MEASURE_ELEMENTWISE_H_

#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/formats/layout.h"

namespace tensorquant::measure {

// The names of our own contenders and of the copies.
inline constexpr const char* kOurs = "ours";
inline constexpr const char* kReference = "reference";
inline constexpr const char* kStreamingCopy = "streaming copy";
inline constexpr const char* kMemcpy = "memcpy";

// Tensors are matrices of so many columns, or of the most that divide both. Blocks and rows run
// along axis 1, where their elements are neighbours, or along axis 0, where they lie a row apart;
// the other axis is that of the channels.
inline constexpr std::size_t kColumns = 1024;
Layout matrix_layout(std::size_t elements, int axis);

// One way to quantize a tensor of float or double.
template <class T>
struct Contender {
  std::string name;       // whose
  std::string quantizer;  // what it computes, as a quantizer string; empty: it only copies
  std::function<void(std::span<const T> in, std::span<T> out)> run;
  // Each of its results must be that of one of these quantizers, which is checked before the clock
  // starts. Empty: exactly the bits of the reference of `quantizer`.
  std::vector<std::string> one_of = {};
  std::size_t most_elements = std::numeric_limits<std::size_t>::max();
  int threads = 0;  // it is measured only with so many; 0 for any
  // Copies its last result to `out`, off the clock: for what allocates its outputs itself.
  std::function<void(std::span<T> out)> fetch = {};
  int axis = 1;  // along which the results' blocks and rows run
};

struct Measurement {
  std::string name;
  std::string quantizer;
  int axis;          // along which blocks and rows run
  std::string type;  // "float32" or "float64"
  std::size_t elements;
  int threads;
  double nanoseconds, nanoseconds_low, nanoseconds_high;  // an element: median and quartiles
  double gigabytes_per_second;                            // read and written
  double over_streaming_copy, over_memcpy;                // medians of ratios of times
  double over_ours;  // the same; 0 where ours does not compute this quantizer
};

// The kernels and their references, which take at most `reference_elements`; along both axes where
// the quantizer asks for them. Throws an Error for a quantizer of a user's own, which has no
// reference.
template <class T>
std::vector<Contender<T>> our_contenders(const std::vector<std::string>& quantizers,
                                         std::size_t reference_elements);

// A copy with non-temporal stores and memcpy's, which no quantizer of a large tensor outside the
// caches can beat; both use the library's threads.
template <class T>
std::vector<Contender<T>> copies();

// Runs all contenders for this size and number of threads, with the copies, interleaved, on one
// random tensor. Throws an Error where one does not compute what it says.
template <class T>
std::vector<Measurement> measure_elementwise(const std::vector<Contender<T>>& contenders,
                                             std::size_t elements, int threads, int rounds);

// [{"name": "ours", "quantizer": "nearest,8,4", "type": "float32", ...}, ...]
std::string to_json(std::span<const Measurement> measurements);

}  // namespace tensorquant::measure

#endif  // TENSORQUANT_MEASURE_ELEMENTWISE_H_
