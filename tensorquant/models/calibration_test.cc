#include "tensorquant/models/calibration.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

Override rules(const std::string& extrinsic) {
  Override maps;
  maps.weights = QuantizerMap({{"", "int,8,per=channel,scale=max"}});
  maps.extrinsic = QuantizerMap({{"", extrinsic}}, MapKind::extrinsic);
  return maps;
}

// The largest magnitude of each output, found with libtorch alone.
std::map<std::string, float> largest_magnitudes(const ModelInfo& info, ImageClassifier& model,
                                                const ImageDataset& data) {
  std::map<std::string, float> largest;
  const at::NoGradGuard no_gradient;
  model.eval();
  set_output_observer(model, [&](const std::string& layer, const at::Tensor& x) {
    largest[layer] = std::max(largest[layer], x.abs().max().item<float>());
  });
  for (std::size_t i = 0; i < data.count; ++i) {
    model.forward(preprocess(info, data, batch_indices(data, i, 1)));
  }
  set_output_observer(model, {});
  return largest;
}

TEST(Calibrate, WritesTheNumberOfEachLayer) {
  for (const std::string name : {"lenet", "resnet20"}) {
    const ModelInfo& info = find_model(name);
    const auto model = make_model(info, 1);
    const ImageDataset data = test_images(info, 6);
    const auto largest = largest_magnitudes(info, *model, data);
    const CalibratedMaps result =
        calibrate(sample_runs(info, *model, data), rules("int,8,scale=max"),
                  make_calibration_method("minmax"));
    EXPECT_TRUE(result.warnings.empty());
    EXPECT_EQ(result.maps.weights, rules("none").weights);
    EXPECT_EQ(result.maps.extrinsic.rules().size(), layer_names(*model).size());
    for (const std::string& layer : layer_names(*model)) {
      const auto& format = std::get<Scaled>(*result.maps.extrinsic.find(layer)->format());
      EXPECT_EQ(static_cast<float>(format.scale.number), largest.at(layer) / 127) << layer;
    }
    EXPECT_EQ(Override::from_json(result.maps.to_json()), result.maps);
    tensorquant::apply(model, result.maps);
    EXPECT_TRUE(model->forward(preprocess(info, data, batch_indices(data, 0, 4))).defined());
  }
}

ImageDataset shuffled(const ImageDataset& data) {
  ImageDataset other = data;
  const std::size_t image = data.pixels.size() / data.count;
  for (std::size_t i = 0; i < data.count; ++i) {
    const std::size_t from = (i * 5 + 3) % data.count;  // 5 and 12 have no common factor
    std::copy_n(data.pixels.begin() + static_cast<std::ptrdiff_t>(from * image), image,
                other.pixels.begin() + static_cast<std::ptrdiff_t>(i * image));
  }
  return other;
}

TEST(Calibrate, DependsOnTheImagesAlone) {
  const ModelInfo& info = find_model("resnet20");
  const auto model = make_model(info, 1);
  const ImageDataset data = test_images(info, 12);
  const int threads = at::get_num_threads();
  for (const char* name : {"minmax", "percentile=99", "mse", "entropy"}) {
    const CalibrationMethod method = make_calibration_method(name);
    const auto maps = rules("int,8,scale=max");
    const Override wanted = calibrate(sample_runs(info, *model, data), maps, method).maps;
    EXPECT_EQ(calibrate(sample_runs(info, *model, shuffled(data)), maps, method).maps, wanted)
        << name;
    for (const int count : {1, 2}) {
      at::set_num_threads(count);
      set_num_threads(count);
      EXPECT_EQ(calibrate(sample_runs(info, *model, data), maps, method).maps, wanted) << name;
    }
    at::set_num_threads(threads);
    set_num_threads(0);
  }
}

TEST(Calibrate, LeavesTheRulesThatFindScalesInParts) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info, 1);
  const ImageDataset data = test_images(info, 3);
  Override maps;
  maps.extrinsic = QuantizerMap(
      {{"Conv1", "int,8,scale=range"}, {"Conv2", "mxfp8_e4m3"}, {"Dense3", "nearest,8,4"}},
      MapKind::extrinsic);
  const Override result =
      calibrate(sample_runs(info, *model, data), maps, make_calibration_method("percentile")).maps;
  EXPECT_NE(result.extrinsic.find("Conv1")->spec().find("zero="), std::string::npos);
  EXPECT_EQ(result.extrinsic.find("Conv2")->spec(), "mxfp8_e4m3");
  EXPECT_EQ(result.extrinsic.find("Dense3")->spec(), "nearest,8,4");
  EXPECT_EQ(result.extrinsic.find("Dense4"), nullptr);
}

TEST(Calibrate, KnowsTheTypesOfLayers) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info, 1);
  const ImageDataset data = test_images(info, 3);
  Override maps;
  maps.extrinsic = QuantizerMap({{"op:Conv2dRelu", "int,8,scale=max"}}, MapKind::extrinsic);
  const Override result =
      calibrate(sample_runs(info, *model, data), maps, make_calibration_method("minmax")).maps;
  ASSERT_EQ(result.extrinsic.rules().size(), 2U);
  EXPECT_EQ(result.extrinsic.rules()[0].pattern.key(), "=Conv1");
  EXPECT_EQ(result.extrinsic.rules()[1].pattern.key(), "=Conv2");
}

TEST(Calibrate, RefusesWhatItCannotFindBeforeTheModelRuns) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info, 1);
  const ImageDataset data = test_images(info, 3);
  bool ran = false;
  const auto error_of = [&](const Override& maps, const char* method) -> std::string {
    try {
      calibrate(sample_runs(info, *model, data), maps, make_calibration_method(method),
                [&](std::size_t, std::size_t) { ran = true; });
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(error_of(rules("mxfp4"), "minmax").find("no layer has an extrinsic quantizer"),
            std::string::npos);
  EXPECT_NE(error_of(rules("int,8,scale=range"), "mse").find("the output of input: "),
            std::string::npos);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace tensorquant
