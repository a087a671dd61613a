#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/onnx/export/export_model.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx/graph/fold_batch_norms.h"

namespace tensorquant::cli {
namespace {

using Reader = onnx::ExportOptions::Reader;

struct ExportCommand {
  std::string model, output, dialect = "qdq", reader;
  MapOptions maps;
  std::uint64_t seed = 0;
  bool keep_weights = false, maps_in_metadata = false, opaque = false, fold_batch_norm = false;
};

const std::map<std::string, onnx::Dialect> kDialects = {{"qdq", onnx::Dialect::qdq},
                                                        {"qonnx", onnx::Dialect::qonnx},
                                                        {"functions", onnx::Dialect::functions}};
const std::map<std::string, Reader> kReaders = {
    {"", Reader::any}, {"hls4ml", Reader::hls4ml}, {"finn", Reader::finn}};

void tell(const onnx::FoldedBatchNorms& norms) {
  if (norms.folded.empty() && norms.left.empty()) return note("there are no batch normalizations");
  std::string left;
  for (const std::string& name : norms.left)
    left += (left.empty() ? "" : ", ") + ("'" + name + "'");
  note("batch normalizations in the weights before them: " + std::to_string(norms.folded.size()) +
       (left.empty() ? "" : "; these stay: " + left));
}

void export_file(const ExportCommand& command) {
  onnx::ModelProto model = onnx::read_model(command.model);
  const std::optional<Override> kept = onnx::take_maps(model, command.model);
  const Override maps = maps_of_file(command.maps, command.seed, kept, command.model);
  if (command.fold_batch_norm) tell(onnx::fold_batch_norms(model));
  const std::int64_t ir_version = model.ir_version;
  const onnx::Metadata metadata = std::move(model.metadata);
  const onnx::Graph graph = onnx::make_graph(std::move(model), command.model);
  onnx::ExportedModel exported =
      onnx::export_model(graph, ir_version, maps,
                         {kDialects.at(command.dialect), command.keep_weights,
                          command.maps_in_metadata, kReaders.at(command.reader), command.opaque});
  for (const std::string& line : exported.idle) warn(line);
  for (const std::string& line : exported.warnings) warn(line);
  for (const auto& entry : metadata) {
    const auto is_new = [&](const auto& own) { return own.first != entry.first; };
    auto& all = exported.model.metadata;
    if (std::all_of(all.begin(), all.end(), is_new)) all.push_back(entry);
  }
  onnx::write_model(command.output, exported.model);
}

}  // namespace

void add_export(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write an ONNX model with the quantizers of maps in it");
  command->footer(
      "qdq writes QuantizeLinear and DequantizeLinear, or casts; qonnx Quant, BipolarQuant and "
      "FloatQuant;\n"
      "functions, for each quantizer string, a function of ONNX's own operators, which ONNX "
      "Runtime "
      "computes bit for bit.\n"
      "What the form cannot say is an error that names the layers. See docs/onnx.md.\n");
  auto options = std::make_shared<ExportCommand>();
  command->add_option("MODEL", options->model, "The model, an ONNX file")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("OUTPUT", options->output, "The file to be written")->required();
  command->add_option("--to", options->dialect, "qdq, qonnx or functions")
      ->check(CLI::IsMember(kDialects))
      ->capture_default_str();
  options->maps.add_to(*command);
  command->add_flag("--keep-weights", options->keep_weights,
                    "Leave weights float, with nodes behind them, in place of quantized ones");
  command->add_flag("--maps-in-metadata", options->maps_in_metadata,
                    "Write the maps into the file's metadata, intrinsic rules too");
  command->add_flag("--opaque", options->opaque,
                    "Write what the form cannot say of outputs as nodes that tensorquant alone "
                    "reads: random rounding, scales found in the numbers, your own quantizers");
  command->add_flag(
      "--fold-batch-norm", options->fold_batch_norm,
      "First put batch normalizations into the weights and biases of the convolutions "
      "and products before them, in float64");
  command->add_option("--for", options->reader, "hls4ml or finn: warn of what it does not take")
      ->check(CLI::IsMember({"hls4ml", "finn"}));
  add_seed(*command, options->seed);
  command->callback([options] { export_file(*options); });
}

}  // namespace tensorquant::cli
