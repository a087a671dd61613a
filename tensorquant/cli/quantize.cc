#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/float_array.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/quantizer_option.h"
#include "tensorquant/cli/range_table.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/data/npz.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/quantizer_report.h"

namespace tensorquant::cli {
namespace {

namespace fs = std::filesystem;

struct QuantizeOptions {
  std::string spec;
  std::string in;
  std::string out;
  std::uint64_t seed = 0;
  bool integers = false;
  bool ranges = false;
  bool as_json = false;
  int axis = -1;
  int channel_axis = 0;
  std::uint32_t stream = 0;
  std::uint32_t step = 0;
};

[[noreturn]] void fail_extension(const std::string& path, const std::string& known) {
  throw CLI::ValidationError(path + ": the extension must be " + known);
}

Array read_raw(const fs::path& path, DType dtype) {
  std::vector<std::byte> bytes = read_file(path);
  if (bytes.size() % size_of(dtype) != 0) {
    throw Error(path.string() + ": its " + std::to_string(bytes.size()) +
                " bytes are no multiple of " + std::to_string(size_of(dtype)));
  }
  return {dtype, {bytes.size() / size_of(dtype)}, std::move(bytes)};
}

Array read_input(const std::string& path) {
  const std::string extension =
      names_npz_member(path) ? ".npz" : fs::path(path).extension().string();
  if (extension == ".f32") return read_raw(path, DType::f32);
  if (extension == ".f64") return read_raw(path, DType::f64);
  if (extension != ".npy" && extension != ".npz") {
    fail_extension(path, ".npy, .npz, .f32 or .f64");
  }
  return read_float_array(path);
}

// The extension of raw output that fits the type.
std::string raw_extension(DType dtype) { return "." + std::string(name_of(dtype)); }

void check_output(const std::string& path, DType dtype) {
  const std::string extension = fs::path(path).extension().string();
  if (extension != ".npy" && extension != raw_extension(dtype)) {
    fail_extension(path,
                   ".npy or, for " + std::string(name_of(dtype)) + ", " + raw_extension(dtype));
  }
}

void write_output(const std::string& path, const Array& array) {
  if (fs::path(path).extension() == ".npy") return write_npy(path, array);
  AtomicFile file(path);
  file.write(array.bytes);
  file.commit();
}

// The numbers of an array that owns suitably aligned bytes.
template <class T>
std::span<T> numbers(Array& array) {
  return {reinterpret_cast<T*>(array.bytes.data()), array.bytes.size() / sizeof(T)};
}

Axis given_axis(const Shape& shape, int given, const char* option, const std::string& path) {
  const int rank = static_cast<int>(shape.size());
  const int axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis >= rank) {
    throw CLI::ValidationError(std::string(option) + " " + std::to_string(given) + ": " + path +
                               " has " + std::to_string(rank) + (rank == 1 ? " axis" : " axes"));
  }
  const auto place = static_cast<std::size_t>(axis);
  return axis_of(shape, place, place + 1);
}

// A number without axes has one of length 1.
Layout layout_of(const Shape& shape, const QuantizeOptions& options) {
  const Shape axes = shape.empty() ? Shape{1} : shape;
  return {.channel = given_axis(axes, options.channel_axis, "--channel-axis", options.in),
          .reduction = given_axis(axes, options.axis, "--axis", options.in)};
}

// The type for the integers of a format: int32 where it holds them.
DType integer_type(const FixedPoint& format) {
  if (format.magnitude_bits() <= 31) return DType::i32;
  return format.magnitude_bits() <= 63 ? DType::i64 : DType::u64;
}

// The integers k of the values k * 2^-fraction.
template <class K, class T>
Array integers_of(std::span<const T> values, const FixedPoint& format, const Shape& shape,
                  const std::string& source) {
  Array codes{dtype_of<K>, shape, std::vector<std::byte>(values.size() * sizeof(K))};
  const std::span<K> k = numbers<K>(codes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      throw Error(source + ": element " + std::to_string(i) +
                  " is quantized to NaN, which has no integer");
    }
    k[i] = static_cast<K>(std::ldexp(static_cast<double>(values[i]), format.fraction));
  }
  return codes;
}

template <class T>
QuantizerReport quantize_array(const Quantizer& quantizer, Array& array,
                               const QuantizeOptions& options) {
  const std::span<T> values = numbers<T>(array);
  const Context context = {.seed = options.seed,
                           .stream = options.stream,
                           .step = options.step,
                           .layout = layout_of(array.shape, options)};
  QuantizerReport report;
  if (options.ranges) report = report_of(quantizer, std::span<const T>(values), context);
  quantizer.quantize(std::span<const T>(values), values, context);
  if (!options.integers) return report;
  const auto& format = std::get<FixedPoint>(*quantizer.format());
  switch (integer_type(format)) {
    case DType::i32:
      array = integers_of<std::int32_t, T>(values, format, array.shape, options.in);
      break;
    case DType::i64:
      array = integers_of<std::int64_t, T>(values, format, array.shape, options.in);
      break;
    default:
      array = integers_of<std::uint64_t, T>(values, format, array.shape, options.in);
  }
  return report;
}

void quantize(const QuantizeOptions& options) {
  const auto quantizer = quantizer_of(options.spec);
  const bool is_fixed_point =
      quantizer->format() != nullptr && std::holds_alternative<FixedPoint>(*quantizer->format());
  if (options.integers && !is_fixed_point) {
    throw CLI::ValidationError("--integers: '" + quantizer->spec() + "' is no fixed-point format");
  }
  Array array = read_input(options.in);
  const DType type = array.dtype;
  check_output(options.out,
               options.integers ? integer_type(std::get<FixedPoint>(*quantizer->format())) : type);
  const PlaceReport report = {options.in, quantizer,
                              type == DType::f32
                                  ? quantize_array<float>(*quantizer, array, options)
                                  : quantize_array<double>(*quantizer, array, options)};
  write_output(options.out, array);
  if (!options.ranges) return;
  options.as_json ? print(to_json(report))
                  : void(std::printf("%s", to_table(std::vector{report}).c_str()));
}

}  // namespace

void add_quantize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("quantize", "Quantize the numbers of a file");
  command->footer(
      "Files are NumPy's .npy or .npz, or raw little-endian .f32 and .f64, by extension; "
      "FILE.npz:NAME is one of several\n"
      "arrays. Numbers are float32 or float64; float16 is taken as float32. The output, .npy or "
      "raw, has the input's type\n"
      "and shape. Blocks and rows run along --axis. A run that fails leaves an "
      "output that stood before as it was.\n");
  auto options = std::make_shared<QuantizeOptions>();
  command->add_option("SPEC", options->spec, "Quantizer string, for example nearest,8,4")
      ->required();
  command->add_option("IN", options->in, "File to read: .npy, .npz, .f32 or .f64")->required();
  command->add_option("OUT", options->out, "File to write")->required();
  add_number(*command, "--seed", options->seed, "Seed of random rounding")->capture_default_str();
  add_number(*command, "--stream", options->stream,
             "Stream of random rounding: tells the tensors of a network apart")
      ->capture_default_str();
  add_number(*command, "--step", options->step,
             "Step of random rounding: tells the calls of a training run apart")
      ->capture_default_str();
  add_number(*command, "--axis", options->axis,
             "Axis that blocks and rows run along; -1 is the last one")
      ->capture_default_str();
  add_number(*command, "--channel-axis", options->channel_axis,
             "Axis of the channels, for per=channel")
      ->capture_default_str();
  command->add_flag(
      "--integers", options->integers,
      "Write the codes k of the values k * 2^-F of a fixed-point format: int32 (.npy or .i32), for "
      "formats of more bits int64 (.i64), for 64 unsigned ones uint64 (.u64)");
  CLI::Option* const ranges = command->add_flag(
      "--ranges", options->ranges, "Report the bits a value, what saturated and what became zero");
  command->add_flag("--json", options->as_json, "Print the report as JSON")->needs(ranges);
  command->callback([options] { quantize(*options); });
}

}  // namespace tensorquant::cli
