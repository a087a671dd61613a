// TensorFlow's ops, compiled on the user's machine against the TensorFlow that is installed there.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"
#include "tensorquant_api.h"

namespace {

using absl::InvalidArgumentError;
using absl::Status;
using tensorflow::AllocatorAttributes;
using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

const TensorquantApi* api = nullptr;

TensorquantText text_of(const std::string& text) { return {text.data(), text.size()}; }

int type_of(tensorflow::DataType type) {
  switch (type) {
    case tensorflow::DT_FLOAT:
      return TENSORQUANT_FLOAT32;
    case tensorflow::DT_DOUBLE:
      return TENSORQUANT_FLOAT64;
    case tensorflow::DT_HALF:
      return TENSORQUANT_FLOAT16;
    default:
      return TENSORQUANT_BFLOAT16;
  }
}

// The device's own threads.
TensorquantPool pool_of(OpKernelContext* context) {
  const auto* threads = context->device()->tensorflow_cpu_worker_threads();
  return {threads->workers, threads->num_threads, [](void* host, void (*work)(void*), void* state) {
            static_cast<tensorflow::thread::ThreadPool*>(host)->Schedule(
                [work, state] { work(state); });
          }};
}

// The step is a list of no or one number, so that a quantizer that is not random needs none.
uint32_t step_of(const OpInputList& step) {
  return step.size() == 0 ? 0 : step[0].scalar<uint32_t>()();
}

// The attribute `axes`: see TensorquantContext.
class Axes {
 public:
  Status read(OpKernelConstruction* construction) {
    TF_RETURN_IF_ERROR(construction->GetAttr("axes", &numbers_));
    return numbers_.size() == 4 ? Status() : InvalidArgumentError("axes: expected four numbers");
  }

  template <class Shape>
  TensorquantContext context_of(const Shape& shape, uint64_t seed, uint32_t stream,
                                uint32_t step) const {
    return {seed, stream, step, numbers_.data(), shape.data(), static_cast<int>(shape.size())};
  }

 private:
  std::vector<int64_t> numbers_;
};

class QuantizeKernel final : public OpKernel {
 public:
  explicit QuantizeKernel(OpKernelConstruction* construction) : OpKernel(construction) {
    int64_t seed = 0, stream = 0;
    OP_REQUIRES_OK(construction, construction->GetAttr("spec", &spec_));
    OP_REQUIRES_OK(construction, construction->GetAttr("seed", &seed));
    OP_REQUIRES_OK(construction, construction->GetAttr("stream", &stream));
    OP_REQUIRES_OK(construction, axes_.read(construction));
    seed_ = static_cast<uint64_t>(seed);
    stream_ = static_cast<uint32_t>(stream);
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    OpInputList step;
    OP_REQUIRES_OK(context, context->input_list("step", &step));
    Tensor* y = nullptr;  // x itself where nobody else needs it
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, x.shape(), &y));
    const TensorquantPool pool = pool_of(context);
    const auto shape = x.shape().dim_sizes();
    TensorquantError error;
    const int failed =
        api->quantize(text_of(spec_), type_of(x.dtype()), x.data(), y->data(),
                      axes_.context_of(shape, seed_, stream_, step_of(step)), &pool, &error);
    OP_REQUIRES(context, failed == 0, InvalidArgumentError(error.text));
  }

 private:
  std::string spec_;
  uint64_t seed_ = 0;
  uint32_t stream_ = 0;
  Axes axes_;
};

class GradientKernel final : public OpKernel {
 public:
  explicit GradientKernel(OpKernelConstruction* construction) : OpKernel(construction) {
    OP_REQUIRES_OK(construction, construction->GetAttr("spec", &spec_));
    OP_REQUIRES_OK(construction, axes_.read(construction));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &y = context->input(1), &dy = context->input(2);
    OP_REQUIRES(context, x.shape() == y.shape() && y.shape() == dy.shape(),
                InvalidArgumentError("the quantizer's input, output and gradient differ in shape"));
    Tensor* dx = nullptr;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({2}, 0, x.shape(), &dx));
    const TensorquantPool pool = pool_of(context);
    const auto shape = x.shape().dim_sizes();
    TensorquantError error;
    const int failed =
        api->gradient(text_of(spec_), type_of(x.dtype()), x.data(), y.data(), dy.data(), dx->data(),
                      axes_.context_of(shape, 0, 0, 0), &pool, &error);
    OP_REQUIRES(context, failed == 0, InvalidArgumentError(error.text));
  }

 private:
  std::string spec_;
  Axes axes_;
};

// The sizes of a shape, -1 for those that are not known.
std::vector<int64_t> sizes_of(InferenceContext* context, ShapeHandle shape) {
  std::vector<int64_t> sizes;
  for (int d = 0; d < context->Rank(shape); ++d) {
    const DimensionHandle size = context->Dim(shape, d);
    sizes.push_back(context->ValueKnown(size) ? context->Value(size) : -1);
  }
  return sizes;
}
ShapeHandle shape_of(InferenceContext* context, const std::vector<int64_t>& sizes) {
  std::vector<DimensionHandle> dimensions;
  for (const int64_t size : sizes) {
    dimensions.push_back(size < 0 ? context->UnknownDim() : context->MakeDim(size));
  }
  return context->MakeShape(dimensions);
}

Status find_scales_shape(const std::string& spec, TensorquantContext context,
                         std::vector<int64_t>* sizes) {
  sizes->resize(static_cast<size_t>(context.dimensions));
  TensorquantError error;
  const int failed = api->scales_shape(text_of(spec), context, sizes->data(), &error);
  return failed == 0 ? Status() : InvalidArgumentError(error.text);
}

class ScalesKernel final : public OpKernel {
 public:
  explicit ScalesKernel(OpKernelConstruction* construction) : OpKernel(construction) {
    OP_REQUIRES_OK(construction, construction->GetAttr("spec", &spec_));
    OP_REQUIRES_OK(construction, axes_.read(construction));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const auto sizes = x.shape().dim_sizes();
    const TensorquantContext of_x = axes_.context_of(sizes, 0, 0, 0);
    std::vector<int64_t> found;
    OP_REQUIRES_OK(context, find_scales_shape(spec_, of_x, &found));
    TensorShape shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape(found, &shape));
    Tensor* scales = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &scales));
    const TensorquantPool pool = pool_of(context);
    TensorquantError error;
    const int failed = api->scales(text_of(spec_), type_of(x.dtype()), x.data(), scales->data(),
                                   of_x, &pool, &error);
    OP_REQUIRES(context, failed == 0, InvalidArgumentError(error.text));
  }

 private:
  std::string spec_;
  Axes axes_;
};

Status scales_shapes(InferenceContext* context) {
  std::string spec;
  std::vector<int64_t> axes;
  TF_RETURN_IF_ERROR(context->GetAttr("spec", &spec));
  TF_RETURN_IF_ERROR(context->GetAttr("axes", &axes));
  context->set_output(0, context->UnknownShape());
  if (!context->RankKnown(context->input(0)) || axes.size() != 4) return Status();
  const std::vector<int64_t> sizes = sizes_of(context, context->input(0));
  std::vector<int64_t> found;
  TF_RETURN_IF_ERROR(find_scales_shape(
      spec, {0, 0, 0, axes.data(), sizes.data(), static_cast<int>(sizes.size())}, &found));
  context->set_output(0, shape_of(context, found));
  return Status();
}

// Shapes as the table takes them.
struct Shapes {
  void add(std::vector<int64_t> shape) {
    sizes.push_back(std::move(shape));
    tensors.clear();
    for (const auto& s : sizes) tensors.push_back({nullptr, s.data(), static_cast<int>(s.size())});
  }

  Status result(const std::string& operation, std::vector<int64_t>* shape) const {
    int64_t result[TENSORQUANT_MOST_DIMENSIONS];
    int dimensions = 0;
    TensorquantError error;
    if (api->result_shape(text_of(operation), static_cast<int>(tensors.size()), tensors.data(),
                          result, &dimensions, &error) != 0) {
      return InvalidArgumentError(error.text);
    }
    shape->assign(result, result + dimensions);
    return Status();
  }

  std::vector<std::vector<int64_t>> sizes;
  std::vector<TensorquantTensor> tensors;
};

class ArithmeticKernel final : public OpKernel {
 public:
  explicit ArithmeticKernel(OpKernelConstruction* construction) : OpKernel(construction) {
    OP_REQUIRES_OK(construction, construction->GetAttr("operation", &operation_));
    OP_REQUIRES_OK(construction, construction->GetAttr("marks", &marks_));
  }

  void Compute(OpKernelContext* context) override {
    OpInputList inputs, step;
    OP_REQUIRES_OK(context, context->input_list("inputs", &inputs));
    OP_REQUIRES_OK(context, context->input_list("step", &step));
    Shapes shapes;
    for (const Tensor& input : inputs) {
      const auto sizes = input.shape().dim_sizes();
      shapes.add({sizes.begin(), sizes.end()});
    }
    for (int i = 0; i < inputs.size(); ++i) {
      shapes.tensors[static_cast<size_t>(i)].data = inputs[i].data();
    }
    std::vector<int64_t> sizes;
    OP_REQUIRES_OK(context, shapes.result(operation_, &sizes));
    TensorShape shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape(sizes, &shape));
    Tensor *y = nullptr, *outside = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &y));
    OP_REQUIRES_OK(context,
                   context->allocate_output(1, marks_ ? shape : TensorShape({0}), &outside));
    const TensorquantPool pool = pool_of(context);
    TensorquantError error;
    const int failed = api->arithmetic(text_of(operation_), type_of(inputs[0].dtype()),
                                       inputs.size(), shapes.tensors.data(), y->data(),
                                       marks_ ? static_cast<bool*>(outside->data()) : nullptr,
                                       step_of(step), &pool, &error);
    OP_REQUIRES(context, failed == 0, InvalidArgumentError(error.text));
  }

 private:
  std::string operation_;
  bool marks_ = false;
};

Status arithmetic_shapes(InferenceContext* context) {
  std::string operation;
  bool marks = false;
  std::vector<ShapeHandle> inputs;
  TF_RETURN_IF_ERROR(context->GetAttr("operation", &operation));
  TF_RETURN_IF_ERROR(context->GetAttr("marks", &marks));
  TF_RETURN_IF_ERROR(context->input("inputs", &inputs));
  context->set_output(0, context->UnknownShape());
  context->set_output(1, marks ? context->UnknownShape() : context->Vector(0));
  Shapes shapes;
  for (const ShapeHandle& input : inputs) {
    if (!context->RankKnown(input)) return Status();
    shapes.add(sizes_of(context, input));
  }
  std::vector<int64_t> sizes;
  TF_RETURN_IF_ERROR(shapes.result(operation, &sizes));
  context->set_output(0, shape_of(context, sizes));
  if (marks) context->set_output(1, context->output(0));
  return Status();
}

REGISTER_OP("TensorquantQuantize")
    .Input("x: T")
    .Input("step: steps * uint32")
    .Output("y: T")
    .Attr("T: {float, double, half, bfloat16}")
    .Attr("steps: int >= 0")
    .Attr("spec: string")
    .Attr("seed: int = 0")
    .Attr("stream: int = 0")
    .Attr("axes: list(int) = [1, 0, 1, 0]")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(0));
      return Status();
    });
REGISTER_KERNEL_BUILDER(Name("TensorquantQuantize").Device(tensorflow::DEVICE_CPU), QuantizeKernel);

REGISTER_OP("TensorquantQuantizeGradient")
    .Input("x: T")
    .Input("y: T")
    .Input("dy: T")
    .Output("dx: T")
    .Attr("T: {float, double, half, bfloat16}")
    .Attr("spec: string")
    .Attr("axes: list(int) = [1, 0, 1, 0]")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(0));
      return Status();
    });
REGISTER_KERNEL_BUILDER(Name("TensorquantQuantizeGradient").Device(tensorflow::DEVICE_CPU),
                        GradientKernel);

REGISTER_OP("TensorquantScales")
    .Input("x: T")
    .Output("scales: T")
    .Attr("T: {float, double}")
    .Attr("spec: string")
    .Attr("axes: list(int) = [1, 0, 1, 0]")
    .SetShapeFn(scales_shapes);
REGISTER_KERNEL_BUILDER(Name("TensorquantScales").Device(tensorflow::DEVICE_CPU), ScalesKernel);

REGISTER_OP("TensorquantArithmetic")
    .Input("inputs: count * T")
    .Input("step: steps * uint32")
    .Output("y: T")
    .Output("outside: bool")
    .Attr("T: {float, double, half, bfloat16}")
    .Attr("count: int >= 1")
    .Attr("steps: int >= 0")
    .Attr("operation: string")
    .Attr("marks: bool")
    .SetShapeFn(arithmetic_shapes);
REGISTER_KERNEL_BUILDER(Name("TensorquantArithmetic").Device(tensorflow::DEVICE_CPU),
                        ArithmeticKernel);

}  // namespace

// Must be called before any op runs. False, and nothing is set, where the table is of another
// version.
extern "C" bool tensorquant_set_api(const TensorquantApi* table) {
  if (!tensorquant_api_fits(table)) return false;
  api = table;
  return true;
}
