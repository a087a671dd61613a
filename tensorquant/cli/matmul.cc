#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/scaled_product.h"
#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/float_array.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/quantizer_option.h"
#include "tensorquant/cli/range_table.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/maps/rule.h"
#include "tensorquant/quantizers/accumulate.h"
#include "tensorquant/quantizers/hardware.h"
#include "tensorquant/quantizers/quantizer_report.h"
#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant::cli {
namespace {

// Of the two matrices.
struct Formats {
  std::shared_ptr<const Quantizer> a, b;
};

struct MatmulOptions {
  std::string a, b, out, bias;
  std::string product = "none", accumulator = "none", accumulate = "step", outer;
  std::uint64_t every = 0;
  std::string hardware;
  std::string a_format = "none", b_format = "none";
  std::uint64_t seed = 0;
  bool ranges = false;
  bool as_json = false;
};

// The value of an intrinsic map that the options make.
RuleValue value_of(const MatmulOptions& options) {
  if (!options.hardware.empty()) {
    if (find_hardware(options.hardware) == nullptr) {
      throw CLI::ValidationError("--hardware", "unknown name '" + options.hardware +
                                                   "'; 'tensorquant list --hardware' shows all");
    }
    return string_value(options.hardware, MapKind::intrinsic);
  }
  RuleValue value;
  value.product = quantizer_of(options.product);
  value.accumulator = quantizer_of(options.accumulator);
  try {
    value.accumulate = make_accumulate(options.accumulate);
  } catch (const SpecError& error) {
    throw CLI::ValidationError("--accumulate", error.reason());
  }
  if (!options.outer.empty() || options.every > 0) {
    value.outer = OuterSum{quantizer_of(options.outer.empty() ? "none" : options.outer),
                           static_cast<std::int64_t>(options.every)};
  }
  return value;
}

Arithmetic arithmetic_of(const RuleValue& value) {
  try {
    return make_arithmetic(*value.product, *value.accumulator, value.accumulate, value.outer,
                           value.order);
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

Array read_matrix(const std::string& path, std::size_t dimensions) {
  Array array = read_float_array(path);
  if (array.shape.size() != dimensions) {
    throw Error(path + ": has the shape " + to_string(array.shape) + ", expected " +
                std::to_string(dimensions) + " dimensions");
  }
  return array;
}

void require_type(const std::string& path, const Array& array, const MatmulOptions& options,
                  const Array& a) {
  if (array.dtype == a.dtype) return;
  throw Error(path + ": holds " + std::string(name_of(array.dtype)) + ", but " + options.a + " " +
              std::string(name_of(a.dtype)));
}

template <class T>
SumPlan multiply(const MatmulOptions& options, const Arithmetic& arithmetic, const Formats& formats,
                 const Array& a, const Array& b, const Array& bias, RangeReport* report) {
  const std::size_t rows = a.shape[0], taps = a.shape[1], columns = b.shape[1];
  std::vector<T> y(rows * columns);
  ArithmeticContext context;
  context.seed = options.seed;
  const SumPlan plan = scaled_matrix_product<T>(
      arithmetic, context, *formats.a, *formats.b, static_cast<std::int64_t>(rows),
      static_cast<std::int64_t>(taps), static_cast<std::int64_t>(columns), a.as<T>().data(),
      b.as<T>().data(), options.bias.empty() ? nullptr : bias.as<T>().data(), y.data(), report);
  write_npy<T>(options.out, {rows, columns}, y);
  return plan;
}

// Of the matrices that a format with scales quantizes.
std::vector<PlaceReport> matrix_reports(const MatmulOptions& options, const Formats& formats,
                                        const Array& a, const Array& b) {
  const ArithmeticContext context;
  std::vector<PlaceReport> reports;
  const auto add = [&](const char* name, const std::shared_ptr<const Quantizer>& format,
                       const Array& x, MatrixShape::Lines lines, std::uint32_t stream) {
    if (scaled_format(*format) == nullptr) return;
    const MatrixShape shape = {static_cast<std::int64_t>(x.shape[0]),
                               static_cast<std::int64_t>(x.shape[1]), lines};
    const Context call = {options.seed, stream, context.step, shape.layout()};
    reports.push_back({name, format, report_of<float>(*format, x.as<float>(), call)});
  };
  add("a", formats.a, a, MatrixShape::Lines::rows, context.data_stream);
  add("b", formats.b, b, MatrixShape::Lines::columns, context.weight_stream);
  return reports;
}

void matmul(const MatmulOptions& options) {
  const RuleValue value = value_of(options);
  const Arithmetic arithmetic = arithmetic_of(value);
  const Formats formats = {quantizer_of(options.a_format), quantizer_of(options.b_format)};
  if (!options.out.ends_with(".npy")) {
    throw CLI::ValidationError(options.out + ": the extension must be .npy");
  }
  const Array a = read_matrix(options.a, 2), b = read_matrix(options.b, 2);
  require_type(options.b, b, options, a);
  if (a.shape[1] != b.shape[0]) {
    throw Error(options.b + ": has the shape " + to_string(b.shape) + ", which does not fit " +
                to_string(a.shape) + " of " + options.a);
  }
  Array bias;
  if (!options.bias.empty()) {
    bias = read_matrix(options.bias, 1);
    require_type(options.bias, bias, options, a);
    if (bias.shape[0] != b.shape[1]) {
      throw Error(options.bias + ": has " + std::to_string(bias.shape[0]) + " numbers, expected " +
                  std::to_string(b.shape[1]) + ", one for each column");
    }
  }
  if (options.ranges && a.dtype != DType::f32) {
    throw CLI::ValidationError("--ranges", "needs float32 matrices");
  }
  std::vector<PlaceReport> places;
  if (options.ranges) places = matrix_reports(options, formats, a, b);
  LayerRangeReport ranges{"product", arithmetic, {}};
  RangeReport* report = options.ranges ? &ranges.report : nullptr;
  const SumPlan plan = a.dtype == DType::f32
                           ? multiply<float>(options, arithmetic, formats, a, b, bias, report)
                           : multiply<double>(options, arithmetic, formats, a, b, bias, report);
  if (options.as_json) {
    nlohmann::ordered_json result = {{"rows", a.shape[0]},
                                     {"taps", a.shape[1]},
                                     {"columns", b.shape[1]},
                                     {"a_format", formats.a->spec()},
                                     {"b_format", formats.b->spec()},
                                     {"product", value.product->spec()},
                                     {"accumulator", value.accumulator->spec()},
                                     {"accumulate", to_string(arithmetic.accumulate)},
                                     {"seed", options.seed},
                                     {"kernel", to_string(plan.kernel)},
                                     {"reason", plan.reason}};
    if (value.outer) {
      result["outer"] = {{"accumulator", value.outer->accumulator->spec()}};
      if (value.outer->every > 0) result["outer"]["every"] = value.outer->every;
    }
    if (options.ranges) {
      result["places"] = nlohmann::ordered_json::array();
      for (const PlaceReport& place : places) result["places"].push_back(to_json(place));
      result["ranges"] = to_json(std::vector{ranges})[0];
      result["ranges"].erase("layer");
    }
    print(result);
  } else if (options.ranges) {
    if (!places.empty()) std::printf("%s\n", to_table(places).c_str());
    std::printf("%s", to_table(std::vector{ranges}).c_str());
  }
}

}  // namespace

void add_matmul(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "matmul", "Multiply two matrices with every product and every sum rounded");
  command->footer(
      "Files are NumPy's .npy or .npz (FILE.npz:NAME where it holds several arrays). Matrices and "
      "bias are of one type,\n"
      "float32 or float64; float16 is taken as float32. Shapes: A (rows, taps), B (taps, columns), "
      "OUT (rows, columns).\n"
      "Every output begins with 0, adds its products in the order of the taps, then the bias. "
      "--accumulate is one of\n"
      "step       s = A(s + P(a b)), each sum rounded to the accumulator's format\n"
      "once       s = A(exact sum of every P(a b))\n"
      "chunk:N    s = A(s + exact sum of the next N P(a b))\n"
      "fused      s = A(s + a b), products not rounded\n"
      "align:N:F  as chunk:N, s and products cut to F bits below the largest exponent\n"
      "A format of A or B with scales (mxfp4) quantizes the matrix first. Sums run over the "
      "numbers "
      "before the\n"
      "scales, and --outer adds them up times their scales. per=row and per=channel are a scale "
      "for "
      "each row of\n"
      "A and each column of B.\n"
      "Random rounding uses stream 0 for products, 1 for sums, 2 for A, 3 for B, and step 0.\n");
  auto options = std::make_shared<MatmulOptions>();
  command->add_option("A", options->a, "Left matrix, a .npy or .npz file")->required();
  command->add_option("B", options->b, "Right matrix, a .npy or .npz file")->required();
  command->add_option("OUT", options->out, "Product to write, a .npy file")->required();
  CLI::Option* const product =
      command
          ->add_option("--product", options->product,
                       "Quantizer string of the products; none keeps them exact")
          ->capture_default_str();
  CLI::Option* const accumulator =
      command
          ->add_option("--accumulator", options->accumulator,
                       "Quantizer string of the sums; none rounds them to the matrices' type")
          ->capture_default_str();
  CLI::Option* const accumulate = command
                                      ->add_option("--accumulate", options->accumulate,
                                                   "step, once, chunk:N, align:N:F or fused")
                                      ->capture_default_str();
  CLI::Option* const outer = command->add_option(
      "--outer", options->outer,
      "Quantizer string of a second accumulator, which adds up the sums and the bias");
  CLI::Option* const every =
      add_number<std::uint64_t>(*command, "--every", options->every,
                                "After how many products the second accumulator takes the sum and "
                                "the first begins anew; left out: at the end",
                                {1, std::numeric_limits<std::int64_t>::max()});
  command
      ->add_option("--hardware", options->hardware,
                   "A processor's arithmetic in place of all that: a name of 'tensorquant list "
                   "--hardware'")
      ->excludes(product)
      ->excludes(accumulator)
      ->excludes(accumulate)
      ->excludes(outer)
      ->excludes(every);
  command
      ->add_option(
          "--a-format", options->a_format,
          "Quantizer string of A. One with scales quantizes A along the taps, and P and the sums "
          "see the numbers before the scales; any other says what A's values are, for the "
          "exponents of align")
      ->capture_default_str();
  command->add_option("--b-format", options->b_format, "Likewise of B")->capture_default_str();
  command->add_option("--bias", options->bias, "Numbers added to each column, a .npy or .npz file");
  add_number(*command, "--seed", options->seed, "Seed of random rounding")->capture_default_str();
  command->add_flag("--ranges", options->ranges,
                    "Report what was clamped and the accumulator bits that would have been enough; "
                    "of matrices that a format with scales quantizes, the bits a value, what "
                    "saturated and what became zero");
  command->add_flag("--json", options->as_json,
                    "Print the loop that was chosen, why, and the ranges as JSON");
  command->callback([options] { matmul(*options); });
}

}  // namespace tensorquant::cli
