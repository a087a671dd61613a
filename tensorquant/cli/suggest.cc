#include "tensorquant/cli/suggest.h"

#include <cstdio>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_runs.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/models/suggestion.h"

namespace tensorquant::cli {
void SuggestOptions::add_to(CLI::App& command, CLI::Option* model) {
  const char* group = "Suggest a map";
  data.limit = 512;
  CLI::Option* suggest =
      add_number(command, "--suggest", bits,
                 "Write a --maps file with fixed point of this many bits for all weights and "
                 "outputs: for each the finest grid that covers the values seen",
                 {1, 32})
          ->needs(model)
          ->excludes("--layers")
          ->excludes("--weights")
          ->excludes("--extrinsic")
          ->excludes("--intrinsic")
          ->excludes("--maps")
          ->group(group);
  command
      .add_option("--checkpoint", checkpoint,
                  "Weights, a safetensors file; an ONNX file has its own")
      ->needs(suggest)
      ->group(group);
  data.add_to(command, "train-*")->needs(suggest)->group(group);
  command.get_option("--limit")->capture_default_str()->needs(suggest)->group(group);
  onnx.add_to(command);
  for (const char* name : OnnxDataOptions::names()) command.get_option(name)->needs(suggest);
  command.add_option("--output", output, "Where to write the map; stdout if left out")
      ->needs(suggest)
      ->group(group);
  threads.add_to(command);
  command.get_option("--threads")->group(group);
}

void suggest(const std::string& model, const NamesOption& names, const SuggestOptions& options) {
  const Interrupt interrupt;
  options.threads.set_up();
  if (!options.output.empty()) AtomicFile probe(options.output);
  const ModelRuns subject =
      make_runs({model, options.checkpoint, names, options.data, options.onnx}, nullptr);

  std::vector<LayerRanges> ranges;
  {
    Progress progress(subject.samples.count);
    ranges = observe_ranges(subject.samples, [&](std::size_t done, std::size_t all) {
      interrupt.check();
      progress.update(done, "image " + std::to_string(done) + "/" + std::to_string(all));
    });
  }
  const Override maps = suggest_maps(options.bits, ranges);
  const std::string text = to_json(maps).dump(2) + "\n";
  if (options.output.empty()) {
    std::printf("%s", text.c_str());
  } else {
    write_file_atomically(options.output, text);
  }
}

}  // namespace tensorquant::cli
