#include "tensorquant/cli/onnx_data.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <numeric>
#include <span>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/base/sha256.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/data/npz.h"
#include "tensorquant/data/zip.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::cli {
namespace {

namespace fs = std::filesystem;

using Tensors = OnnxData::Tensors;
using Ports = std::vector<OnnxModel::Port>;

constexpr const char* kTestSet = "test_data_set_";
constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 40;

std::string input_names(const Ports& ports) {
  std::string names;
  for (const OnnxModel::Port& input : ports) {
    names += (names.empty() ? "'" : ", '") + input.name + "'";
  }
  return names;
}

at::Tensor read_tensor(const std::string& location) {
  try {
    return to_tensor(read_array(location));
  } catch (const Error& error) {
    const std::string reason = error.what();
    throw Error(reason.starts_with(location) ? reason : location + ": " + reason);
  }
}

std::string numbered(const char* kind, std::size_t i) {
  return std::string(kind) + "_" + std::to_string(i) + ".pb";
}

// kind_0.pb and so on, as many as there are.
Tensors read_test_tensors(const fs::path& folder, const char* kind) {
  Tensors found;
  for (fs::path path = folder / numbered(kind, 0); fs::exists(path);
       path = folder / numbered(kind, found.size())) {
    try {
      found.push_back(onnx_torch::tensor_of(onnx::read_tensor_file(path)));
    } catch (const Error& error) {
      const std::string reason = error.what();
      throw Error(reason.starts_with(path.string()) ? reason : path.string() + ": " + reason);
    }
  }
  return found;
}

std::vector<fs::path> test_sets(const fs::path& folder) {
  std::vector<fs::path> sets;
  if (!fs::is_directory(folder)) return sets;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const bool is_set = entry.path().filename().string().starts_with(kTestSet);
    if (is_set && entry.is_directory()) sets.push_back(entry.path());
  }
  // By number: test_data_set_10 comes after test_data_set_9.
  std::sort(sets.begin(), sets.end(), [](const fs::path& a, const fs::path& b) {
    const std::string x = a.string(), y = b.string();
    return x.size() != y.size() ? x.size() < y.size() : x < y;
  });
  return sets;
}

at::Tensor images_of(const ImageDataset& data) {
  const auto size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  return at::tensor(at::ArrayRef<std::uint8_t>(data.pixels), at::kByte)
      .view({size(data.count), size(data.channels), size(data.height), size(data.width)});
}

}  // namespace

std::size_t OnnxData::runs() const {
  return batch_ == 0 ? sets_.size() : (count_ + batch_ - 1) / batch_;
}

OnnxData::Tensors OnnxData::prepared(const Tensors& raw) const {
  Tensors ready;
  for (std::size_t i = 0; i < raw.size(); ++i) ready.push_back(preparations_[i](raw[i]));
  return ready;
}

OnnxData::Tensors OnnxData::inputs(std::size_t run) const {
  if (batch_ == 0) return prepared(sets_[run]);
  const std::size_t first = run * batch_, count = std::min(batch_, count_ - first);
  Tensors batch;
  for (const at::Tensor& all : sets_.front()) {
    // A copy: the model may work in place.
    batch.push_back(
        all.narrow(0, static_cast<std::int64_t>(first), static_cast<std::int64_t>(count)).clone());
  }
  return prepared(batch);
}

OnnxData::Tensors OnnxData::inputs(std::span<const std::size_t> samples) const {
  if (batch_ == 0) return prepared(sets_[samples.front()]);
  const std::vector<std::int64_t> numbers(samples.begin(), samples.end());
  Tensors batch;
  for (const at::Tensor& all : sets_.front()) {
    batch.push_back(all.index_select(0, at::tensor(numbers, at::kLong)));
  }
  return prepared(batch);
}

std::string OnnxData::fingerprint() const {
  std::string digests;
  const auto add = [&](const at::Tensor& x) {
    const at::Tensor dense = x.contiguous();
    digests += sha256({static_cast<const std::byte*>(dense.data_ptr()), dense.nbytes()});
  };
  for (std::size_t run = 0; run < runs(); ++run) {
    for (const at::Tensor& x : inputs(run)) add(x);
  }
  if (labels_.defined()) add(labels_);
  return sha256(std::as_bytes(std::span(digests)));
}

class OnnxDataReader {
 public:
  OnnxDataReader(const OnnxDataOptions& options, const OnnxModel& model,
                 const OnnxDataOptions::Given& given, const OnnxDataOptions::ChoosePart& part)
      : options_(options), ports_(model.inputs()), given_(given), part_(part), dims_(read_dims()) {}

  Tensors zeros() const {
    Tensors inputs;
    const std::size_t batch = std::max<std::size_t>(fixed_batch(), 1);
    for (const OnnxModel::Port& port : ports_) {
      const auto sizes = sizes_of(port, static_cast<std::int64_t>(batch), "--dim");
      inputs.push_back(at::zeros(sizes, onnx_torch::scalar_type_of(port.type->element)));
    }
    return inputs;
  }

  OnnxData read() {
    const int sources = (given_.data.empty() ? 0 : 1) + (options_.inputs.empty() ? 0 : 1) +
                        (options_.random == 0 ? 0 : 1);
    if (sources > 1) {
      throw CLI::ValidationError("--data, --input and --random exclude each other");
    }
    if (!given_.data.empty()) {
      read_data(given_.data);
    } else if (options_.random > 0) {
      draw();
    } else {
      read_inputs();
    }
    if (!options_.labels.empty()) data_.labels_ = read_tensor(options_.labels);
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      data_.preparations_.push_back(options_.images.preparation(ports_[i], data_.sets_.front()[i]));
    }
    cut_into_batches();
    check_labels();
    return std::move(data_);
  }

 private:
  std::map<std::string, std::int64_t> read_dims() const {
    std::map<std::string, std::int64_t> dims;
    for (const std::string& text : options_.dims) {
      const std::size_t sign = text.rfind('=');
      const auto size = sign == std::string::npos
                            ? std::nullopt
                            : read_whole<std::uint64_t>(text.substr(sign + 1));
      if (!size || *size < 1 || *size > kLargestSize) {
        throw CLI::ValidationError("--dim", "'" + text + "': expected NAME=SIZE");
      }
      if (!is_symbol(text.substr(0, sign))) {
        throw CLI::ValidationError(
            "--dim", "the model's inputs have no size '" + text.substr(0, sign) + "'");
      }
      dims[text.substr(0, sign)] = static_cast<std::int64_t>(*size);
    }
    return dims;
  }

  bool is_symbol(const std::string& name) const {
    for (const OnnxModel::Port& port : ports_) {
      if (!port.type || !port.type->shape) continue;
      for (const onnx::Dimension& dimension : *port.type->shape) {
        const auto* symbol = std::get_if<std::string>(&dimension);
        if (symbol != nullptr && *symbol == name) return true;
      }
    }
    return false;
  }

  // Names may hold '='.
  void read_inputs() {
    Tensors& inputs = data_.sets_.emplace_back(ports_.size());
    for (const std::string& text : options_.inputs) {
      const auto is_meant = [&](const OnnxModel::Port& one) {
        return text.starts_with(one.name + "=");
      };
      const auto found = std::find_if(ports_.begin(), ports_.end(), is_meant);
      if (found == ports_.end()) {
        throw CLI::ValidationError(
            "--input", "'" + text + "': expected NAME=FILE.npy with one of " + input_names(ports_));
      }
      at::Tensor& input = inputs[static_cast<std::size_t>(found - ports_.begin())];
      if (input.defined()) {
        throw CLI::ValidationError("--input", "'" + found->name + "' is given twice");
      }
      input = read_tensor(text.substr(found->name.size() + 1));
    }
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      if (inputs[i].defined()) continue;
      throw CLI::ValidationError("--input", "the model's input '" + ports_[i].name +
                                                "' is not given; it has " + input_names(ports_));
    }
  }

  void require_one_input(const std::string& path) const {
    if (ports_.size() == 1) return;
    throw CLI::ValidationError("--data", path + " is for one input, but the model has " +
                                             input_names(ports_) +
                                             "; give an .npz file, or --input for each");
  }

  void read_data(const std::string& path) {
    const std::vector<fs::path> sets = test_sets(path);
    if (!sets.empty()) return read_test_sets(sets);
    if (fs::is_directory(path) || !fs::exists(path)) return read_images(path);
    const std::vector<std::byte> file = read_file(path);
    if (is_zip(file)) return read_npz(file, path);
    if (!path.ends_with(".npy")) return read_images(path);
    require_one_input(path);
    data_.sets_.push_back({read_tensor(path)});
  }

  void read_images(const std::string& path) {
    require_one_input(path);
    const ImageDataset images = load_image_dataset(path, given_.split);
    data_.sets_.push_back({images_of(images)});
    data_.labels_ = at::tensor(at::ArrayRef<std::uint8_t>(images.labels), at::kByte);
  }

  void read_npz(std::span<const std::byte> file, const std::string& path) {
    Tensors& inputs = data_.sets_.emplace_back();
    for (const OnnxModel::Port& port : ports_) {
      inputs.push_back(to_tensor(parse_npz(file, port.name, path)));
    }
    for (const ZipMember& member : zip_members(file, path)) {
      if (member.name != "labels.npy") continue;
      data_.labels_ = to_tensor(parse_npz(file, "labels", path));
    }
  }

  void read_test_sets(const std::vector<fs::path>& sets) {
    for (const fs::path& set : sets) {
      Tensors inputs = read_test_tensors(set, "input");
      if (inputs.size() != ports_.size()) {
        throw Error(set.string() + ": holds " + std::to_string(inputs.size()) +
                    " inputs, but the model has " + std::to_string(ports_.size()));
      }
      data_.sets_.push_back(std::move(inputs));
      data_.stored_.push_back(read_test_tensors(set, "output"));
    }
  }

  // From the types and sizes that the file declares.
  void draw() {
    at::Generator generator = at::detail::createCPUGenerator(given_.seed);
    Tensors& inputs = data_.sets_.emplace_back();
    for (const OnnxModel::Port& port : ports_) {
      const std::vector<std::int64_t> sizes =
          sizes_of(port, static_cast<std::int64_t>(options_.random), "--random");
      const onnx::DataType type = port.type->element;
      const at::Tensor drawn =
          is_floating_point(type)
              ? at::randn(sizes, generator, at::kFloat)
              : at::randint(2, sizes, generator, at::kLong);  // any table has two
      inputs.push_back(drawn.to(onnx_torch::scalar_type_of(type)));
    }
  }

  // `option` is what needs them.
  std::vector<std::int64_t> sizes_of(const OnnxModel::Port& port, std::int64_t samples,
                                     const char* option) const {
    if (!port.type || !port.type->shape) {
      throw Error("input '" + port.name + "' has no declared shape");
    }
    std::vector<std::int64_t> sizes;
    for (const onnx::Dimension& dimension : *port.type->shape) {
      const auto* number = std::get_if<std::int64_t>(&dimension);
      const auto* symbol = std::get_if<std::string>(&dimension);
      const auto known = symbol == nullptr ? dims_.end() : dims_.find(*symbol);
      if (sizes.empty()) {
        sizes.push_back(samples);
      } else if (number != nullptr && *number >= 0) {
        sizes.push_back(*number);
      } else if (known != dims_.end()) {
        sizes.push_back(known->second);
      } else {
        throw CLI::ValidationError(
            option, "input '" + port.name + "' has a size " +
                        (symbol == nullptr || symbol->empty()
                             ? std::string("that the file does not tell")
                             : "'" + *symbol + "': give it, as --dim " + *symbol + "=8"));
      }
    }
    return sizes;
  }

  // The size of the first axis that the file fixes, or --dim; 0: none.
  std::size_t fixed_batch() const {
    for (const OnnxModel::Port& port : ports_) {
      if (!port.type || !port.type->shape || port.type->shape->empty()) continue;
      const onnx::Dimension& first = port.type->shape->front();
      if (const auto* number = std::get_if<std::int64_t>(&first)) {
        if (*number > 0) return static_cast<std::size_t>(*number);
      } else if (const auto found = dims_.find(std::get<std::string>(first));
                 found != dims_.end()) {
        return static_cast<std::size_t>(found->second);
      }
    }
    return 0;
  }

  void cut_into_batches() {
    Tensors& inputs = data_.sets_.front();
    data_.count_ = data_.sets_.size();
    const auto rows = [](const at::Tensor& x) { return x.dim() == 0 ? 0 : x.size(0); };
    const std::int64_t count = inputs.empty() ? 0 : rows(inputs.front());
    const bool has_samples = data_.stored_.empty() && count > 0 &&
                             std::all_of(inputs.begin(), inputs.end(),
                                         [&](const at::Tensor& x) { return rows(x) == count; });
    if (!has_samples) return;
    data_.count_ = static_cast<std::size_t>(count);
    if (const OnnxDataOptions::Part part = chosen_part(); part.count < data_.count_) {
      data_.count_ = part.count;
      const auto first = static_cast<std::int64_t>(part.first);
      const auto kept = static_cast<std::int64_t>(part.count);
      for (at::Tensor& x : inputs) x = x.narrow(0, first, kept);
      if (data_.labels_.defined() && rows(data_.labels_) >= first + kept) {
        data_.labels_ = data_.labels_.narrow(0, first, kept);
      }
    }
    const std::size_t fixed = fixed_batch();
    data_.batch_ = fixed == 0 ? given_.batch_size : fixed;
    if (fixed == 0 || fixed >= data_.count_) return;  // what does not fit, the model tells
    if (data_.count_ % fixed != 0) {
      throw Error("the model takes batches of " + std::to_string(fixed) + ", and " +
                  std::to_string(data_.count_) + " samples are no multiple of that; see --limit");
    }
    note("the model takes batches of " + std::to_string(fixed) + ": it runs " +
         std::to_string(data_.count_ / fixed) + " times");
  }

  OnnxDataOptions::Part chosen_part() const {
    if (part_) return part_(data_.count_);
    return {0, given_.limit == 0 ? data_.count_ : std::min(given_.limit, data_.count_)};
  }

  void check_labels() const {
    if (!data_.labels_.defined()) return;
    const bool fit =
        data_.labels_.dim() > 0 && data_.labels_.size(0) == static_cast<std::int64_t>(data_.count_);
    if (!fit) {
      const auto sizes = data_.labels_.sizes();
      throw Error((options_.labels.empty() ? given_.data : options_.labels) + ": labels of shape " +
                  onnx::to_string({sizes.data(), sizes.size()}) + " for " +
                  std::to_string(data_.count_) + " samples");
    }
  }

  const OnnxDataOptions& options_;
  const Ports& ports_;
  const OnnxDataOptions::Given& given_;
  const OnnxDataOptions::ChoosePart& part_;
  std::map<std::string, std::int64_t> dims_;
  OnnxData data_;
};

std::vector<const char*> OnnxDataOptions::names() {
  return {"--input",  "--labels", "--random",    "--dim",
          "--layout", "--mean",   "--deviation", "--scale"};
}

void OnnxDataOptions::add_to(CLI::App& command) {
  const char* group = "ONNX files";
  command
      .add_option("--input", inputs,
                  "One input of the model, as often as it has inputs: NAME=FILE.npy, or "
                  "NAME=FILE.npz:ARRAY")
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_option("--labels", labels,
                  "Class of each sample, or numbers to compare the first output with: FILE.npy")
      ->group(group);
  add_number(command, "--random", random,
             "Draw this many samples, from the types and sizes that the file declares",
             {.lowest = 1})
      ->group(group);
  add_dims_to(command);
  images.add_to(command);
}

void OnnxDataOptions::add_dims_to(CLI::App& command) {
  command
      .add_option("--dim", dims,
                  "Size that the file gives a name to: NAME=SIZE; as often as there are some")
      ->take_all()
      ->allow_extra_args(false)
      ->group("ONNX files");
}

namespace {

template <class Options, class F>
void visit_options(Options& options, F&& f) {
  f("input", options.inputs);
  f("random", options.random);
  f("labels", options.labels);
  f("dim", options.dims);
  f("layout", options.images.layout);
  f("mean", options.images.mean);
  f("deviation", options.images.deviation);
  f("scale", options.images.scale);
}

}  // namespace

nlohmann::ordered_json OnnxDataOptions::told() const {
  nlohmann::ordered_json left_out, told = nlohmann::ordered_json::object();
  const OnnxDataOptions plain;
  visit_options(plain, [&](const char* name, const auto& value) { left_out[name] = value; });
  visit_options(*this, [&](const char* name, const auto& value) {
    if (left_out[name] != value) told[name] = value;
  });
  return told;
}

void OnnxDataOptions::take_over(const nlohmann::ordered_json& told,
                                const std::function<bool(const char*)>& is_given) {
  const bool has_source = is_given("--data") || is_given("--input") || is_given("--random");
  visit_options(*this, [&](const std::string& name, auto& value) {
    const bool is_source = name == "input" || name == "random";
    if (!told.contains(name) || is_given(("--" + name).c_str()) || (is_source && has_source))
      return;
    told.at(name).get_to(value);
  });
}

OnnxData OnnxDataOptions::read(const OnnxModel& model, const Given& given,
                               const ChoosePart& part) const {
  return OnnxDataReader(*this, model, given, part).read();
}

OnnxData::Tensors OnnxDataOptions::zeros(const OnnxModel& model) const {
  return OnnxDataReader(*this, model, {}, {}).zeros();
}

}  // namespace tensorquant::cli
