#include "python/src/c_api.h"

#include <nanobind/nanobind.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "python/src/axes.h"
#include "python/src/layer_operation.h"
#include "python/src/scales.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/quantizers/clipped_gradient.h"
#include "tensorquant/quantizers/half_precision.h"
#include "tensorquant/quantizers/quantizer.h"

namespace nb = nanobind;

namespace tensorquant::python {
namespace {

std::string_view view(TensorquantText text) { return {text.data, text.size}; }

// What was made from a text, so that a call costs no parsing.
template <class Value>
class TextCache {
 public:
  using Pointer = std::shared_ptr<const Value>;

  Pointer find(std::string_view text) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(text);
    return found == entries_.end() ? nullptr : found->second;
  }
  void add(std::string_view text, const Pointer& value) {
    const std::unique_lock lock(mutex_);
    if (entries_.size() >= kMost) entries_.clear();  // a program that makes ever new texts
    entries_.emplace(text, value);
  }

 private:
  static constexpr std::size_t kMost = 4096;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Pointer, Hash, std::equal_to<>> entries_;
};

// A user's own quantizer is made anew at each call: it may be a Python object, which must not
// outlive the interpreter, and must be made without a lock, as that takes the GIL.
std::shared_ptr<const Quantizer> find_quantizer(std::string_view spec) {
  static TextCache<Quantizer> cache;
  if (auto known = cache.find(spec)) return known;
  auto quantizer = make_quantizer(spec);
  if (quantizer->format() != nullptr) cache.add(spec, quantizer);
  return quantizer;
}

std::shared_ptr<const LayerOperation> find_operation(std::string_view text) {
  static TextCache<LayerOperation> cache;
  if (auto known = cache.find(text)) return known;
  const auto operation = std::make_shared<const LayerOperation>(read_operation(text));
  cache.add(text, operation);
  return operation;
}

// A host's threads. The calling thread takes tasks too and waits for none that nobody has begun, so
// that the call ends even where all of the host's threads are busy or wait for such calls.
class HostPool final : public ThreadPool {
 public:
  explicit HostPool(const TensorquantPool& pool) : pool_(pool) {}

  int threads() const override { return pool_.threads; }

  void run(int tasks, const std::function<void(int)>& task) override {
    const auto call = std::make_shared<Call>(task, tasks);
    for (int i = 1; i < tasks; ++i) {
      pool_.schedule(pool_.host, &help, new std::shared_ptr<Call>(call));
    }
    call->work();
    for (int left = call->unfinished; left > 0; left = call->unfinished) {
      call->unfinished.wait(left);
    }
  }

 private:
  struct Call {
    Call(const std::function<void(int)>& given, int count)
        : task(given), tasks(count), unfinished(count) {}

    void work() {
      for (int i = next++; i < tasks; i = next++) {
        task(i);
        if (--unfinished == 0) unfinished.notify_all();
      }
    }

    const std::function<void(int)>& task;  // gone when the call has ended, and no task is left
    const int tasks;
    std::atomic<int> next = 0;
    std::atomic<int> unfinished;
  };

  static void help(void* state) {
    const std::unique_ptr<std::shared_ptr<Call>> call(static_cast<std::shared_ptr<Call>*>(state));
    (*call)->work();
  }

  const TensorquantPool& pool_;
};

// body() on the pool's threads, its exceptions as an error. Constants of formats are made on this
// thread, which may flush subnormals; the kernels' other threads look after themselves.
template <class Body>
int guarded(const TensorquantPool* pool, TensorquantError* error, const Body& body) {
  const DefaultFloatEnvironment environment;
  std::string message;
  try {
    std::optional<HostPool> host;
    std::optional<ScopedThreadPool> scope;
    if (pool != nullptr) scope.emplace(host.emplace(*pool));
    body();
    return 0;
  } catch (const nb::python_error& raised) {  // its what() begins with a long traceback
    const nb::gil_scoped_acquire lock;
    message = nb::str("{}: {}").format(raised.type().attr("__name__"), raised.value()).c_str();
  } catch (const std::exception& exception) {
    message = exception.what();
  } catch (...) {
    message = "an exception of unknown type";
  }
  const std::size_t size = std::min(message.size(), sizeof error->text - 1);
  std::memcpy(error->text, message.data(), size);
  error->text[size] = '\0';
  return 1;
}

// body(zero of the type).
template <class Body>
void with_type(int type, const Body& body) {
  switch (type) {
    case TENSORQUANT_FLOAT32:
      return body(float{});
    case TENSORQUANT_FLOAT64:
      return body(double{});
    case TENSORQUANT_FLOAT16:
      return body(Float16{});
    case TENSORQUANT_BFLOAT16:
      return body(BFloat16{});
    default:
      throw Error("unknown type " + std::to_string(type));
  }
}

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;

template <class T>
std::span<const T> values(const void* data, std::size_t count) {
  return {static_cast<const T*>(data), count};
}
template <class T>
std::span<T> values(void* data, std::size_t count) {
  return {static_cast<T*>(data), count};
}

template <class T>
void quantize_values(const Quantizer& quantizer, std::span<const T> x, std::span<T> y,
                     const Context& context) {
  if constexpr (kIsHalf<T>) {
    tensorquant::quantize(quantizer, x, y, context);
  } else {
    quantizer.quantize(x, y, context);
  }
}

template <class T>
void gradient_values(const Quantizer& quantizer, std::span<const T> x, std::span<const T> y,
                     std::span<const T> dy, std::span<T> dx, const Context& context) {
  if constexpr (kIsHalf<T>) {
    tensorquant::gradient(quantizer, x, y, dy, dx, context);
  } else {
    quantizer.gradient(x, y, dy, dx, context);
  }
}

std::span<const std::int64_t> shape_of(const TensorquantContext& context) {
  return {context.sizes, static_cast<std::size_t>(context.dimensions)};
}

std::size_t count_of(std::span<const std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return count;
}

Axes axes_of(const TensorquantContext& context) {
  return {context.axes[0], context.axes[1], context.axes[2], context.axes[3]};
}

Context context_of(const TensorquantContext& context) {
  const auto layout = layout_of(axes_of(context), shape_of(context));
  return {context.seed, context.stream, context.step, layout};
}

int quantize(TensorquantText spec, int type, const void* x, void* y, TensorquantContext context,
             const TensorquantPool* pool, TensorquantError* error) {
  return guarded(pool, error, [&] {
    const auto quantizer = find_quantizer(view(spec));
    const std::size_t count = count_of(shape_of(context));
    if (count == 0) return;
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      quantize_values<T>(*quantizer, values<T>(x, count), values<T>(y, count), context_of(context));
    });
  });
}

int gradient(TensorquantText spec, int type, const void* x, const void* y, const void* dy, void* dx,
             TensorquantContext context, const TensorquantPool* pool, TensorquantError* error) {
  return guarded(pool, error, [&] {
    const auto quantizer = find_quantizer(view(spec));
    const std::size_t count = count_of(shape_of(context));
    if (count == 0) return;
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      gradient_values<T>(*quantizer, values<T>(x, count), values<T>(y, count), values<T>(dy, count),
                         values<T>(dx, count), context_of(context));
    });
  });
}

std::vector<TensorShape> shapes_of(int inputs, const TensorquantTensor* input) {
  std::vector<TensorShape> shapes;
  shapes.reserve(static_cast<std::size_t>(inputs));
  for (int i = 0; i < inputs; ++i) {
    shapes.emplace_back(input[i].sizes, input[i].sizes + input[i].dimensions);
  }
  return shapes;
}

// How many of the inputs are no scales.
int tensors_of(const LayerOperation& layer, int inputs) {
  const int scales = static_cast<int>(layer.scales());
  if (inputs <= scales) throw Error("expected tensors and then their scales");
  return inputs - scales;
}

int result_shape(TensorquantText operation, int inputs, const TensorquantTensor* input,
                 std::int64_t* sizes, int* dimensions, TensorquantError* error) {
  return guarded(nullptr, error, [&] {
    const auto found = find_operation(view(operation));
    const TensorShape shape =
        tensorquant::result_shape(found->operation, shapes_of(tensors_of(*found, inputs), input));
    if (shape.size() > TENSORQUANT_MOST_DIMENSIONS) {
      throw Error("rounded arithmetic takes up to " + std::to_string(TENSORQUANT_MOST_DIMENSIONS) +
                  " dimensions");
    }
    std::copy(shape.begin(), shape.end(), sizes);
    *dimensions = static_cast<int>(shape.size());
  });
}

// The elements of the inputs that have scales, which take their places in `data`.
template <class T>
class Elements {
 public:
  Elements(const LayerOperation& layer, const std::vector<TensorShape>& shapes,
           std::vector<const T*>& data) {
    std::size_t next = shapes.size() - layer.scales();
    const auto replace = [&](const Quantizer* format, const char* what, std::size_t i,
                             std::optional<ScaledInput<T>>& kept) -> const ScaledOperand<T>* {
      if (format == nullptr) return nullptr;
      kept = scaled_input(what, *format, shapes.at(i), data[i], shapes.at(next), data[next],
                          axis_of_sum(layer.operation, i == 1, shapes[i].size()));
      ++next;
      data[i] = kept->q.data();
      return &kept->operand;
    };
    operands_.data = replace(layer.x_scales.get(), "the input", 0, x_);
    operands_.weights = replace(layer.w_scales.get(), "the weights", 1, w_);
  }
  Elements(const Elements&) = delete;  // operands point to what it holds

  const ScaledOperands<T>& operands() const { return operands_; }

 private:
  std::optional<ScaledInput<T>> x_, w_;
  ScaledOperands<T> operands_;
};

template <class T>
void run(const LayerOperation& layer, std::uint32_t step, std::vector<TensorShape> shapes,
         std::vector<const T*> data, T* y, bool* outside) {
  ArithmeticContext context = layer.context;
  context.step = step;
  const Elements<T> elements(layer, shapes, data);
  shapes.resize(shapes.size() - layer.scales());
  data.resize(shapes.size());
  run_operation(layer.operation, layer.arithmetic, context, shapes, data, y, /*report=*/nullptr,
                outside, elements.operands());
}

template <class T>
void compute(const LayerOperation& layer, std::uint32_t step,
             const std::vector<TensorShape>& shapes, const TensorquantTensor* input, void* y,
             bool* outside) {
  tensors_of(layer, static_cast<int>(shapes.size()));
  if constexpr (kIsHalf<T>) {
    if (layer.scales() > 0) throw Error("scales need tensors of float32 or float64");
    std::vector<std::vector<float>> floats;
    std::vector<const float*> data;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      std::vector<float>& widened = floats.emplace_back(count_of(shapes[i]));
      to_float(values<T>(input[i].data, widened.size()), widened);
      data.push_back(widened.data());
    }
    std::vector<float> result(count_of(tensorquant::result_shape(layer.operation, shapes)));
    run(layer, step, shapes, data, result.data(), outside);
    from_float(result, values<T>(y, result.size()));
  } else {
    std::vector<const T*> data;
    data.reserve(shapes.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      data.push_back(static_cast<const T*>(input[i].data));
    }
    run(layer, step, shapes, data, static_cast<T*>(y), outside);
  }
}

int arithmetic(TensorquantText operation, int type, int inputs, const TensorquantTensor* input,
               void* y, bool* outside, std::uint32_t step, const TensorquantPool* pool,
               TensorquantError* error) {
  return guarded(pool, error, [&] {
    const auto found = find_operation(view(operation));
    with_type(type, [&](auto zero) {
      compute<decltype(zero)>(*found, step, shapes_of(inputs, input), input, y, outside);
    });
  });
}

int inside(TensorquantText spec, int type, const void* x, bool* inside, TensorquantContext context,
           const TensorquantPool* pool, TensorquantError* error) {
  return guarded(pool, error, [&] {
    const auto quantizer = find_quantizer(view(spec));
    if (!clips_gradient(*quantizer)) {
      throw Error("quantizer '" + quantizer->spec() + "' has no clipped gradient");
    }
    const std::size_t count = count_of(shape_of(context));
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      find_inside<T>(*quantizer, values<T>(x, count), {inside, count}, context_of(context));
    });
  });
}

int scales_shape(TensorquantText spec, TensorquantContext context, std::int64_t* sizes,
                 TensorquantError* error) {
  return guarded(nullptr, error, [&] {
    const auto shape = shape_of(context);
    const TensorShape result = python::scales_shape(*find_quantizer(view(spec)), axes_of(context),
                                                    {shape.begin(), shape.end()});
    std::copy(result.begin(), result.end(), sizes);
  });
}

int scales(TensorquantText spec, int type, const void* x, void* scales, TensorquantContext context,
           const TensorquantPool* pool, TensorquantError* error) {
  return guarded(pool, error, [&] {
    const auto quantizer = find_quantizer(view(spec));
    const std::size_t count = count_of(shape_of(context));
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      if constexpr (kIsHalf<T>) {
        throw Error("scales need tensors of float32 or float64");
      } else {
        const auto shape = shape_of(context);
        const std::size_t groups = count_of(
            python::scales_shape(*quantizer, axes_of(context), {shape.begin(), shape.end()}));
        const std::span<T> all = values<T>(scales, groups);
        std::fill(all.begin(), all.end(), T{1});  // of an empty tensor
        const auto found = find_scales(*quantizer, values<T>(x, count), context_of(context));
        std::copy(found.begin(), found.end(), all.begin());
      }
    });
  });
}

}  // namespace

const TensorquantApi& c_api() {
  static constexpr TensorquantApi api = {TENSORQUANT_API_VERSION,
                                         sizeof(TensorquantApi),
                                         quantize,
                                         gradient,
                                         result_shape,
                                         arithmetic,
                                         inside,
                                         scales_shape,
                                         scales};
  return api;
}

}  // namespace tensorquant::python
