// What a layer returns beside plain tensors: which tensors are found in it, and who sees them
// replaced.

#include "tensorquant/libtorch/tensors/result_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/layers/q_layer.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::Tensor;

Tensor third() { return torch::full({2}, 0.3F); }
Tensor quarter() { return torch::full({2}, 0.25F); }  // what "nearest,8,2" makes of it

// A user's layer that returns what its function does.
template <class Result>
struct ReturnsImpl : torch::nn::Module {
  explicit ReturnsImpl(std::function<Result()> make) : make(std::move(make)) {}
  Result forward(const Tensor&) { return make(); }
  std::function<Result()> make;
};

template <class Result>
Result quantized_result(std::function<Result()> make) {
  QLayer<ReturnsImpl<Result>> layer(std::move(make));
  apply(layer, outputs_with("nearest,8,2"));
  return layer.forward({});
}

template <class Result>
Result quantized_result(const Result& value) {
  return quantized_result<Result>([value] { return value; });
}

template <class Result>
std::string refusal() {
  QLayer<ReturnsImpl<Result>> layer([]() -> Result { throw Error("not called"); });
  apply(layer, weights_with("nearest,8,2"));  // has nothing to do with the result
  try {
    apply(layer, outputs_with("nearest,8,2"));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_quantized(const Tensor& x) { EXPECT_TRUE(torch::equal(x, quarter())) << x; }

TEST(Results, AreLookedIntoHoweverTheirContainersNest) {
  expect_quantized(*quantized_result(std::optional(third())));
  expect_quantized(*quantized_result(c10::optional<Tensor>(third())));
  EXPECT_FALSE(quantized_result(std::optional<Tensor>()).has_value());
  expect_quantized(quantized_result(std::pair(third(), 0.3)).first);
  expect_quantized(quantized_result(std::array{third(), third()})[1]);
  expect_quantized(quantized_result(std::vector<std::vector<Tensor>>{{}, {third()}})[1][0]);
  expect_quantized(quantized_result(std::map<std::string, Tensor>{{"a", third()}})["a"]);
  expect_quantized(
      quantized_result(std::unordered_map<int, std::vector<Tensor>>{{1, {third()}}})[1][0]);
  using Either = std::variant<std::monostate, Tensor>;
  expect_quantized(std::get<Tensor>(quantized_result(Either(third()))));
  torch::OrderedDict<std::string, Tensor> named;
  named.insert("x", third());
  expect_quantized(quantized_result(named)["x"]);
  using Everything =
      std::tuple<std::vector<bool>, std::string, std::optional<std::map<int, Tensor>>>;
  const auto all =
      quantized_result(Everything({true}, "name", std::map<int, Tensor>{{3, third()}}));
  expect_quantized(std::get<2>(all)->at(3));
  EXPECT_EQ(std::get<1>(all), "name");
}

TEST(Results, AreLookedIntoInLibtorchsOwnBoxes) {
  c10::Dict<std::string, Tensor> dict;
  dict.insert("x", third());
  expect_quantized(quantized_result(dict).at("x"));
  EXPECT_TRUE(torch::equal(dict.at("x"), third())) << "the layer's own dictionary is its own";
  c10::List<Tensor> list;
  list.push_back(third());
  expect_quantized(quantized_result(list).get(0));

  const c10::IValue tuple =
      c10::ivalue::Tuple::create(std::vector<c10::IValue>{third(), 0.3, dict, list, c10::IValue()});
  const auto elements = quantized_result(tuple).toTuple()->elements().vec();
  expect_quantized(elements[0].toTensor());
  EXPECT_EQ(elements[1].toDouble(), 0.3);
  expect_quantized(elements[2].toGenericDict().at("x").toTensor());
  expect_quantized(elements[3].toTensorList().get(0));
  EXPECT_TRUE(elements[4].isNone());
  expect_quantized(quantized_result(c10::IValue(third())).toTensor());
  EXPECT_TRUE(torch::equal(tuple.toTuple()->elements()[0].toTensor(), third()));
}

struct Detections {
  Tensor scores;
  std::vector<Tensor> boxes;
  int classes = 0;
  template <class F>
  void visit_tensors(F&& f) {
    f(scores);
    f(boxes);
  }
};

struct Untold {
  Tensor scores;
};

TEST(Results, MayBeAUsersClassThatShowsItsTensors) {
  const auto found = quantized_result(std::vector{Detections{third(), {third()}, 7}});
  expect_quantized(found[0].scores);
  expect_quantized(found[0].boxes[0]);
  EXPECT_EQ(found[0].classes, 7);
}

TEST(Results, ThatNothingTellsAboutAreRefusedByNameBeforeTheFirstCall) {
  EXPECT_THAT(refusal<Untold>(), AllOf(HasSubstr("layer ''"), HasSubstr("Returns"),
                                       HasSubstr("Untold"), HasSubstr("visit_tensors")));
  EXPECT_THAT((refusal<std::tuple<Tensor, Untold>>()), HasSubstr("Untold"));
  EXPECT_THAT(refusal<std::vector<const Untold*>>(), HasSubstr("Untold"));
  EXPECT_THAT(refusal<at::TensorList>(), HasSubstr("Tensor"));  // a view of somebody's tensors
  EXPECT_THAT(refusal<std::span<Tensor>>(), HasSubstr("Tensor"));
  EXPECT_THAT(refusal<std::unique_ptr<const Tensor>>(), HasSubstr("Tensor"));
  EXPECT_THAT(refusal<double>(), HasSubstr("double"));
  EXPECT_THAT(refusal<std::shared_ptr<Untold>>(), HasSubstr("Untold"));
}

TEST(Results, ThatLibtorchCannotLookIntoAreRefusedInTheCall) {
  const c10::IValue future(c10::make_intrusive<c10::ivalue::Future>(c10::TensorType::get()));
  EXPECT_THAT([&] { quantized_result(future); },
              ThrowsMessage<Error>(AllOf(HasSubstr("layer ''"), HasSubstr("Future"))));
}

TEST(Results, AreQuantizedOnceThoughATensorIsInTwoPlaces) {
  // Rounded at random, a second time or with another stream would show.
  QLayer<ReturnsImpl<std::tuple<Tensor, std::vector<Tensor>>>> layer([] {
    const Tensor x = torch::full({1000}, 0.3F);
    return std::tuple(x, std::vector{x, torch::full({1000}, 0.3F)});
  });
  apply(layer, outputs_with("stochastic,8,0"));
  std::vector<std::string> observed;
  set_output_observer(layer,
                      [&](const std::string& name, const Tensor&) { observed.push_back(name); });
  const auto [first, others] = layer.forward({});
  EXPECT_TRUE(first.is_same(others[0]));
  EXPECT_FALSE(torch::equal(first, others[1]));
  EXPECT_EQ(observed, (std::vector<std::string>{"", ":output1"}));
}

TEST(Results, ThatTheLayerKeepsAreNotChangedBehindItsBack) {
  const auto kept = std::make_shared<Detections>(Detections{third(), {}, 0});
  for (int call = 0; call < 2; ++call) {
    const auto [a, b] = quantized_result(std::pair(kept, kept));
    expect_quantized(a->scores);
    EXPECT_EQ(a, b) << "what was shared still is";
    EXPECT_NE(a, kept);
    EXPECT_TRUE(torch::equal(kept->scores, third()));
  }
  const auto constant = std::make_shared<const Tensor>(third());
  expect_quantized(*quantized_result(constant));
  EXPECT_TRUE(torch::equal(*constant, third()));
  // One that nobody else holds is no copy; null stays null.
  expect_quantized(
      *quantized_result<std::shared_ptr<Tensor>>([] { return std::make_shared<Tensor>(third()); }));
  EXPECT_EQ(quantized_result(std::shared_ptr<Tensor>()), nullptr);
  expect_quantized(
      *quantized_result<std::unique_ptr<Tensor>>([] { return std::make_unique<Tensor>(third()); }));
}

struct Polymorphic : Detections {
  virtual ~Polymorphic() = default;
};

TEST(Results, AreNotCutToTheirBaseClass) {
  const auto kept = std::make_shared<Polymorphic>();
  kept->scores = third();
  EXPECT_THAT([&] { quantized_result(kept); },
              ThrowsMessage<Error>(AllOf(HasSubstr("layer ''"), HasSubstr("cannot be copied"))));
  EXPECT_TRUE(torch::equal(kept->scores, third()));
  const auto fresh = quantized_result<std::shared_ptr<Polymorphic>>([] {
    auto made = std::make_shared<Polymorphic>();
    made->scores = third();
    return made;
  });
  expect_quantized(fresh->scores);
}

}  // namespace
}  // namespace tensorquant
