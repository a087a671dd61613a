#ifndef TENSORQUANT_BENCH_ELEMENTWISE_TENSORFLOW_STUB_OP_KERNEL_H_
#define TENSORQUANT_BENCH_ELEMENTWISE_TENSORFLOW_STUB_OP_KERNEL_H_

#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <stdexcept>
#include <string>

// As much of TensorFlow and Eigen as kernels of one input and one output need to be compiled and
// called: a tensor is a span, what registers an op does nothing.
namespace Eigen {

inline constexpr int Dynamic = -1;
template <class T, int rows, int columns>
struct Array {
  using Scalar = T;
};

template <class A>
class Map {
 public:
  Map(const float* values, std::ptrdiff_t size) : values_(values), size_(size) {}
  Map abs() const { return *this; }  // sum() below is that of the magnitudes
  // As many sums at a time as Eigen has lanes.
  float sum() const {
    float lanes[16] = {};
    std::ptrdiff_t i = 0;
    for (; i + 16 <= size_; i += 16) {
      for (int lane = 0; lane < 16; ++lane) lanes[lane] += std::abs(values_[i + lane]);
    }
    float total = 0;
    for (; i < size_; ++i) total += std::abs(values_[i]);
    for (float lane : lanes) total += lane;
    return total;
  }

 private:
  const float* values_;
  std::ptrdiff_t size_;
};

}  // namespace Eigen

namespace tensorflow {

struct Status {
  static Status OK() { return {}; }
};

namespace shape_inference {
struct InferenceContext {
  int input(int) { return 0; }
  void set_output(int, int) {}
};
}  // namespace shape_inference

struct OpDefinition {
  OpDefinition& Attr(const char*) { return *this; }
  OpDefinition& Input(const char*) { return *this; }
  OpDefinition& Output(const char*) { return *this; }
  template <class Function>
  OpDefinition& SetShapeFn(Function) {
    return *this;
  }
};

class Tensor {
 public:
  template <class T>
  struct Flat {
    T& operator()(std::ptrdiff_t i) const { return values[i]; }
    std::ptrdiff_t size() const { return count; }
    T* data() const { return values; }
    T* values;
    std::ptrdiff_t count;
  };

  explicit Tensor(std::span<float> values) : values_(values) {}
  int shape() const { return 0; }
  template <class T>
  Flat<T> flat() const {
    return {values_.data(), static_cast<std::ptrdiff_t>(values_.size())};
  }

 private:
  std::span<float> values_;
};

struct OpKernelConstruction {
  template <class T>
  void GetAttr(const std::string& name, T* value) const {
    *value = static_cast<T>(attributes.at(name));
  }
  std::map<std::string, double> attributes;
};

class OpKernelContext {
 public:
  OpKernelContext(std::span<const float> in, std::span<float> out)
      : in_({const_cast<float*>(in.data()), in.size()}), out_(out) {}
  const Tensor& input(int) const { return in_; }
  void allocate_output(int, int, Tensor** output) { *output = &out_; }

 private:
  Tensor in_, out_;
};

class OpKernel {
 public:
  explicit OpKernel(OpKernelConstruction*) {}
  virtual ~OpKernel() = default;
  virtual void Compute(OpKernelContext* context) = 0;
};

}  // namespace tensorflow

#define REGISTER_OP(name) \
  [[maybe_unused]] static const auto registered_op = ::tensorflow::OpDefinition()
#define REGISTER_KERNEL_BUILDER(...) static_assert(true)
#define OP_REQUIRES_OK(context, expression) (expression)
#define OP_REQUIRES(context, condition, ...) \
  if (!(condition)) throw std::invalid_argument(#condition)

#endif  // TENSORQUANT_BENCH_ELEMENTWISE_TENSORFLOW_STUB_OP_KERNEL_H_
