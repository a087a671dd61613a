// JAX's ops: handlers of XLA's foreign function interface, compiled on the user's machine against
// the headers of the jaxlib that is installed there.

#include <cstdint>
#include <string_view>
#include <vector>

#include "tensorquant_api.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

const TensorquantApi* api = nullptr;

TensorquantText text_of(std::string_view text) { return {text.data(), text.size()}; }

// -1 for a type that has no number.
int type_of(ffi::DataType type) {
  switch (type) {
    case ffi::F32:
      return TENSORQUANT_FLOAT32;
    case ffi::F64:
      return TENSORQUANT_FLOAT64;
    case ffi::F16:
      return TENSORQUANT_FLOAT16;
    case ffi::BF16:
      return TENSORQUANT_BFLOAT16;
    default:
      return -1;
  }
}

// XLA's own threads.
TensorquantPool pool_of(ffi::ThreadPool& threads) {
  return {&threads, static_cast<int>(threads.num_threads()),
          [](void* host, void (*work)(void*), void* state) {
            static_cast<ffi::ThreadPool*>(host)->Schedule([work, state] { work(state); });
          }};
}

ffi::Error error_of(int failed, const TensorquantError& error) {
  return failed == 0 ? ffi::Error::Success() : ffi::Error::InvalidArgument(error.text);
}

// The step is the last of `arguments`, or left out where nothing is random.
uint32_t step_of(const ffi::RemainingArgs& arguments, size_t index) {
  if (index >= arguments.size()) return 0;
  return *arguments.get<ffi::BufferR0<ffi::U32>>(index).value().typed_data();
}

// `axes`: see TensorquantContext.
using Axes = ffi::Span<const int64_t>;

TensorquantContext context_of(Axes axes, const ffi::AnyBuffer& x, uint64_t seed = 0,
                              uint32_t stream = 0, uint32_t step = 0) {
  const auto sizes = x.dimensions();
  return {seed, stream, step, axes.begin(), sizes.begin(), static_cast<int>(sizes.size())};
}

ffi::Error quantize(ffi::ThreadPool threads, std::string_view spec, int64_t seed, uint32_t stream,
                    Axes axes, ffi::AnyBuffer x, ffi::RemainingArgs step,
                    ffi::Result<ffi::AnyBuffer> y) {
  const TensorquantPool pool = pool_of(threads);
  TensorquantError error;
  const int failed = api->quantize(
      text_of(spec), type_of(x.element_type()), x.untyped_data(), y->untyped_data(),
      context_of(axes, x, static_cast<uint64_t>(seed), stream, step_of(step, 0)), &pool, &error);
  return error_of(failed, error);
}

ffi::Error gradient(ffi::ThreadPool threads, std::string_view spec, Axes axes, ffi::AnyBuffer x,
                    ffi::AnyBuffer y, ffi::AnyBuffer dy, ffi::Result<ffi::AnyBuffer> dx) {
  const TensorquantPool pool = pool_of(threads);
  TensorquantError error;
  const int failed =
      api->gradient(text_of(spec), type_of(x.element_type()), x.untyped_data(), y.untyped_data(),
                    dy.untyped_data(), dx->untyped_data(), context_of(axes, x), &pool, &error);
  return error_of(failed, error);
}

ffi::Error scales(ffi::ThreadPool threads, std::string_view spec, Axes axes, ffi::AnyBuffer x,
                  ffi::Result<ffi::AnyBuffer> found) {
  const TensorquantPool pool = pool_of(threads);
  TensorquantError error;
  const int failed = api->scales(text_of(spec), type_of(x.element_type()), x.untyped_data(),
                                 found->untyped_data(), context_of(axes, x), &pool, &error);
  return error_of(failed, error);
}

// Arguments: `inputs` tensors and perhaps the step. Results: y and perhaps what is outside.
ffi::Error arithmetic(ffi::ThreadPool threads, std::string_view operation, uint32_t inputs,
                      ffi::RemainingArgs arguments, ffi::Result<ffi::AnyBuffer> y,
                      ffi::RemainingRets marks) {
  std::vector<TensorquantTensor> tensors;
  for (size_t i = 0; i < inputs; ++i) {
    const ffi::AnyBuffer input = arguments.get<ffi::AnyBuffer>(i).value();
    const auto sizes = input.dimensions();
    tensors.push_back({input.untyped_data(), sizes.begin(), static_cast<int>(sizes.size())});
  }
  bool* outside = nullptr;
  if (marks.size() > 0) outside = (*marks.get<ffi::AnyBuffer>(0).value()).typed_data<bool>();
  const TensorquantPool pool = pool_of(threads);
  TensorquantError error;
  const int failed = api->arithmetic(text_of(operation), type_of(y->element_type()),
                                     static_cast<int>(inputs), tensors.data(), y->untyped_data(),
                                     outside, step_of(arguments, inputs), &pool, &error);
  return error_of(failed, error);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(tensorquant_quantize, quantize,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Attr<std::string_view>("spec")
                                  .Attr<int64_t>("seed")
                                  .Attr<uint32_t>("stream")
                                  .Attr<Axes>("axes")
                                  .Arg<ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(tensorquant_gradient, gradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Attr<std::string_view>("spec")
                                  .Attr<Axes>("axes")
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(tensorquant_scales, scales,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Attr<std::string_view>("spec")
                                  .Attr<Axes>("axes")
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(tensorquant_arithmetic, arithmetic,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Attr<std::string_view>("operation")
                                  .Attr<uint32_t>("inputs")
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .RemainingRets());

// Must be called before any op runs. False, and nothing is set, where the table is of another
// version.
extern "C" bool tensorquant_set_api(const TensorquantApi* table) {
  if (!tensorquant_api_fits(table)) return false;
  api = table;
  return true;
}
