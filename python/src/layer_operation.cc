#include "python/src/layer_operation.h"

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant::python {
namespace {

ConvolutionOperation read_convolution(const nlohmann::json& json) {
  ConvolutionOperation operation;
  json.at("stride").get_to(operation.stride);
  json.at("dilation").get_to(operation.dilation);
  json.at("padding_begin").get_to(operation.padding_begin);
  json.at("padding_end").get_to(operation.padding_end);
  json.at("groups").get_to(operation.groups);
  if (json.contains("output_padding")) {
    operation.is_transposed = true;
    json.at("output_padding").get_to(operation.output_padding);
  }
  return operation;
}

AveragePoolOperation read_average_pool(const nlohmann::json& json) {
  AveragePoolOperation operation;
  json.at("kernel").get_to(operation.kernel);
  json.at("stride").get_to(operation.stride);
  json.at("padding_begin").get_to(operation.padding_begin);
  json.at("padding_end").get_to(operation.padding_end);
  json.at("count_include_pad").get_to(operation.count_include_pad);
  operation.ceil_mode = json.value("ceil_mode", false);
  if (json.contains("divisor")) operation.divisor = json.at("divisor").get<std::int64_t>();
  return operation;
}

Operation read_elementwise(const nlohmann::json& json) {
  using enum BinaryOperation::Kind;
  const auto function = json.at("function").get<std::string>();
  if (function == "add") return BinaryOperation{add};
  if (function == "subtract") return BinaryOperation{subtract};
  if (function == "multiply") return BinaryOperation{multiply};
  if (function == "divide") return BinaryOperation{divide};
  return FunctionOperation{make_function(function)};
}

LayerNormOperation read_layer_norm(const nlohmann::json& json, bool is_centered) {
  return {.dimensions = json.at("dimensions").get<std::int64_t>(),
          .is_centered = is_centered,
          .epsilon = json.at("epsilon").get<double>()};
}

GroupNormOperation read_group_norm(const nlohmann::json& json) {
  return {.groups = json.at("groups").get<std::int64_t>(),
          .epsilon = json.at("epsilon").get<double>()};
}

std::optional<OuterSum> read_outer(const nlohmann::json& json) {
  if (!json.contains("outer")) return {};
  const nlohmann::json& outer = json.at("outer");
  return OuterSum{make_quantizer(outer.at("accumulator").get<std::string>()),
                  outer.value("every", std::int64_t{0})};
}

std::optional<int> read_min_exponent(const nlohmann::json& json, const char* operand) {
  if (!json.contains(operand)) return {};
  return smallest_normal_exponent(*make_quantizer(json.at(operand).get<std::string>()));
}

// The format of an operand whose scales are an input.
std::shared_ptr<const Quantizer> read_scales(const nlohmann::json& json, const char* operand,
                                             const char* format) {
  if (!json.contains("scales") || !json.at("scales").at(operand).get<bool>()) return nullptr;
  if (!json.contains(format)) {
    throw Error(std::string("scales of ") + operand + " need its format, " + format);
  }
  auto quantizer = make_quantizer(json.at(format).get<std::string>());
  if (scaled_format(*quantizer) == nullptr) {
    throw Error(std::string(format) + ": quantizer '" + quantizer->spec() + "' has no scales");
  }
  return quantizer;
}

Operation read_kind(const nlohmann::json& json) {
  const auto kind = json.at("kind").get<std::string>();
  if (kind == "linear") return LinearOperation{};
  if (kind == "convolution") return read_convolution(json);
  if (kind == "average_pool") return read_average_pool(json);
  if (kind == "matmul") return MatrixProductOperation{};
  if (kind == "elementwise") return read_elementwise(json);
  if (kind == "softmax") return SoftmaxOperation{};
  if (kind == "log_softmax") return SoftmaxOperation{.is_logarithm = true};
  if (kind == "layer_norm") return read_layer_norm(json, /*is_centered=*/true);
  if (kind == "rms_norm") return read_layer_norm(json, /*is_centered=*/false);
  if (kind == "group_norm") return read_group_norm(json);
  if (kind == "batch_norm") return BatchNormOperation{json.at("epsilon").get<double>()};
  throw Error("unknown operation '" + kind + "'");
}

bool sees_elements(const Operation& operation) {
  return std::holds_alternative<LinearOperation>(operation) ||
         std::holds_alternative<ConvolutionOperation>(operation) ||
         std::holds_alternative<AveragePoolOperation>(operation) ||
         std::holds_alternative<MatrixProductOperation>(operation);
}

}  // namespace

std::size_t axis_of_sum(const Operation& operation, bool is_weight, std::size_t rank) {
  if (const auto* convolution = std::get_if<ConvolutionOperation>(&operation)) {
    return is_weight && convolution->is_transposed ? 0 : 1;
  }
  if (is_weight && std::holds_alternative<MatrixProductOperation>(operation)) return rank - 2;
  return std::holds_alternative<AveragePoolOperation>(operation) ? 1 : rank - 1;
}

LayerOperation read_operation(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    LayerOperation layer;
    layer.operation = read_kind(json);
    layer.arithmetic =
        make_arithmetic(*make_quantizer(json.at("product").get<std::string>()),
                        *make_quantizer(json.at("accumulator").get<std::string>()),
                        make_accumulate(json.at("accumulate").get<std::string>()), read_outer(json),
                        make_tap_order(json.value("order", "channel")));
    layer.arithmetic.data_min_exponent = read_min_exponent(json, "x_format");
    layer.arithmetic.weight_min_exponent = read_min_exponent(json, "w_format");
    layer.x_scales = read_scales(json, "x", "x_format");
    layer.w_scales = read_scales(json, "w", "w_format");
    if (layer.scales() > 0 && !sees_elements(layer.operation)) {
      throw Error("the operation '" + json.at("kind").get<std::string>() +
                  "' does not see elements and scales apart");
    }
    json.at("seed").get_to(layer.context.seed);
    json.at("product_stream").get_to(layer.context.product_stream);
    json.at("accumulator_stream").get_to(layer.context.accumulator_stream);
    check_operation(layer.operation);
    return layer;
  } catch (const nlohmann::json::exception& error) {
    throw Error("the operation cannot be read: " + std::string(error.what()));
  }
}

}  // namespace tensorquant::python
