#include "tensorquant/libtorch/nn/layer_cases.h"

#include <type_traits>
#include <utility>

#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/libtorch/tensors/result_tensors.h"

namespace tensorquant {
namespace {

template <class Plain, class Twin, class Make, class Call>
LayerCase make_case(std::string name, Make make, Call call) {
  const auto all_tensors = [](auto result) {
    std::vector<torch::Tensor> tensors;
    detail::ResultVisitor visitor(
        [&](torch::Tensor& x) {
          if (x.defined()) tensors.push_back(x);
        },
        [](const std::string&) {});
    visitor.visit(result);
    return tensors;
  };
  return {std::move(name), [make] { return make(std::type_identity<Plain>()); },
          [make] { return make(std::type_identity<Twin>()); },
          [call, all_tensors](torch::nn::Module& module, Inputs& input) {
            if (auto* twin = dynamic_cast<Twin*>(&module)) return all_tensors(call(*twin, input));
            return all_tensors(call(dynamic_cast<Plain&>(module), input));
          }};
}

torch::Tensor indices() { return torch::arange(12).reshape({4, 3}).remainder(9); }

// LAYER(Name, options)(arguments of forward): `input(sizes)` makes a tensor.
#define LAYER(Name, options, arguments)                                                       \
  make_case<::torch::nn::Name##Impl, ::tensorquant::nn::Name##Impl>(                          \
      #Name, [](auto tag) { return std::make_shared<typename decltype(tag)::type> options; }, \
      []([[maybe_unused]] auto& layer, [[maybe_unused]] Inputs& input) {                      \
        return layer.forward arguments;                                                       \
      })

std::vector<LayerCase> make_layers() {
  namespace o = torch::nn;  // options
  return {
      LAYER(Identity, (), (input({4, 7}))),
      LAYER(Linear, (7, 5), (input({4, 7}))),
      LAYER(Linear, (o::LinearOptions(7, 5).bias(false)), (input({2, 4, 7}))),
      LAYER(Bilinear, (o::BilinearOptions(4, 3, 2)), (input({5, 4}), input({5, 3}))),
      LAYER(CosineSimilarity, (), (input({4, 7}), input({4, 7}))),
      LAYER(PairwiseDistance, (), (input({4, 7}), input({4, 7}))),
      LAYER(Functional, ([](const torch::Tensor& x) { return x * 3; }), (input({4, 7}))),
      LAYER(Conv1d, (3, 5, 3), (input({2, 3, 9}))),
      LAYER(Conv2d, (o::Conv2dOptions(4, 6, 3).groups(2).padding(1)), (input({2, 4, 8, 8}))),
      LAYER(Conv2d, (o::Conv2dOptions(3, 5, 3).stride(2).bias(false)), (input({2, 3, 8, 8}))),
      LAYER(Conv3d, (2, 3, 2), (input({2, 2, 4, 4, 4}))),
      LAYER(ConvTranspose1d, (3, 5, 3), (input({2, 3, 9}))),
      LAYER(ConvTranspose2d, (3, 5, 3), (input({2, 3, 5, 5}))),
      LAYER(ConvTranspose3d, (2, 3, 2), (input({2, 2, 4, 4, 4}))),
      LAYER(BatchNorm1d, (7), (input({4, 7}))),
      LAYER(BatchNorm2d, (3), (input({4, 3, 5, 5}))),
      LAYER(BatchNorm3d, (3), (input({4, 3, 2, 3, 4}))),
      LAYER(InstanceNorm1d, (o::InstanceNorm1dOptions(3).affine(true)), (input({4, 3, 6}))),
      LAYER(InstanceNorm2d, (o::InstanceNorm2dOptions(3).affine(true).track_running_stats(true)),
            (input({4, 3, 5, 5}))),
      LAYER(InstanceNorm3d, (3), (input({4, 3, 2, 3, 4}))),
      LAYER(LayerNorm, (o::LayerNormOptions({7})), (input({4, 7}))),
      LAYER(GroupNorm, (2, 4), (input({3, 4, 5, 5}))),
      LAYER(LocalResponseNorm, (2), (input({3, 4, 5, 5}))),
      LAYER(CrossMapLRN2d, (3), (input({3, 4, 5, 5}))),
      LAYER(MaxPool1d, (2), (input({3, 4, 6}))),
      LAYER(MaxPool2d, (2), (input({3, 4, 6, 6}))),
      LAYER(MaxPool3d, (2), (input({3, 4, 4, 4, 4}))),
      LAYER(AvgPool1d, (2), (input({3, 4, 6}))),
      LAYER(AvgPool2d, (2), (input({3, 4, 6, 6}))),
      LAYER(AvgPool3d, (2), (input({3, 4, 4, 4, 4}))),
      LAYER(AdaptiveMaxPool1d, (2), (input({3, 4, 6}))),
      LAYER(AdaptiveMaxPool2d, (2), (input({3, 4, 6, 6}))),
      LAYER(AdaptiveMaxPool3d, (2), (input({3, 4, 4, 4, 4}))),
      LAYER(AdaptiveAvgPool1d, (2), (input({3, 4, 6}))),
      LAYER(AdaptiveAvgPool2d, (1), (input({3, 4, 6, 6}))),
      LAYER(AdaptiveAvgPool3d, (2), (input({3, 4, 4, 4, 4}))),
      LAYER(FractionalMaxPool2d, (o::FractionalMaxPool2dOptions(2).output_size(3)),
            (input({3, 4, 6, 6}))),
      LAYER(LPPool1d, (2, 2), (input({3, 4, 6}))),
      LAYER(LPPool2d, (2, 2), (input({3, 4, 6, 6}))),
      LAYER(FractionalMaxPool3d, (o::FractionalMaxPool3dOptions(2).output_size(3)),
            (input({3, 4, 6, 6, 6}))),
      LAYER(MaxUnpool1d, (2),
            (input({1, 1, 3}), torch::tensor({0, 3, 4}).to(torch::kLong).reshape({1, 1, 3}))),
      LAYER(
          MaxUnpool3d, (2),
          (input({1, 1, 2, 2, 2}),
           torch::tensor({0, 3, 9, 14, 33, 38, 50, 61}).to(torch::kLong).reshape({1, 1, 2, 2, 2}))),
      LAYER(MaxUnpool2d, (2),
            (input({1, 1, 2, 2}),
             torch::tensor({5, 2, 8, 15}).to(torch::kLong).reshape({1, 1, 2, 2}))),
      LAYER(Embedding, (9, 5), (indices())),
      LAYER(EmbeddingBag, (9, 5), (indices())),
      LAYER(RNN, (7, 6), (input({5, 2, 7}))),
      LAYER(LSTM, (o::LSTMOptions(7, 6).num_layers(2).bidirectional(true)), (input({5, 2, 7}))),
      LAYER(LSTM, (o::LSTMOptions(7, 6).proj_size(3).batch_first(true)), (input({5, 2, 7}))),
      LAYER(GRU, (o::GRUOptions(7, 6).bias(false)), (input({5, 2, 7}), input({1, 2, 6}))),
      LAYER(RNNCell, (7, 6), (input({2, 7}))),
      LAYER(LSTMCell, (7, 6), (input({2, 7}))),
      LAYER(GRUCell, (7, 6), (input({2, 7}), input({2, 6}))),
      LAYER(MultiheadAttention, (8, 2), (input({5, 2, 8}), input({4, 2, 8}), input({4, 2, 8}))),
      LAYER(MultiheadAttention,
            (o::MultiheadAttentionOptions(8, 2).kdim(6).vdim(6).add_bias_kv(true)),
            (input({5, 2, 8}), input({4, 2, 6}), input({4, 2, 6}))),
      LAYER(ReLU, (), (input({4, 7}))),
      LAYER(ReLU, (o::ReLUOptions(true)), (input({4, 7}) * 1)),
      LAYER(ReLU6, (), (input({4, 7}))),
      LAYER(LeakyReLU, (), (input({4, 7}))),
      LAYER(PReLU, (), (input({4, 7}))),
      LAYER(RReLU, (), (input({4, 7}))),
      LAYER(ELU, (), (input({4, 7}))),
      LAYER(ELU, (o::ELUOptions().inplace(true)), (input({4, 7}) * 1)),
      LAYER(SELU, (), (input({4, 7}))),
      LAYER(CELU, (), (input({4, 7}))),
      LAYER(GELU, (), (input({4, 7}))),
      LAYER(GLU, (), (input({4, 8}))),
      LAYER(SiLU, (), (input({4, 7}))),
      LAYER(Mish, (), (input({4, 7}))),
      LAYER(Sigmoid, (), (input({4, 7}))),
      LAYER(LogSigmoid, (), (input({4, 7}))),
      LAYER(Tanh, (), (input({4, 7}))),
      LAYER(Tanhshrink, (), (input({4, 7}))),
      LAYER(Softmax, (1), (input({4, 7}))),
      LAYER(Softmax2d, (), (input({2, 3, 4, 4}))),
      LAYER(Softmin, (1), (input({4, 7}))),
      LAYER(LogSoftmax, (1), (input({4, 7}))),
      LAYER(Softplus, (), (input({4, 7}))),
      LAYER(Softsign, (), (input({4, 7}))),
      LAYER(Softshrink, (), (input({4, 7}))),
      LAYER(Hardshrink, (), (input({4, 7}))),
      LAYER(Hardtanh, (), (input({4, 7}))),
      LAYER(Threshold, (0.1, 0.3), (input({4, 7}))),
      LAYER(Dropout, (), (input({4, 7}))),
      LAYER(Dropout2d, (), (input({4, 3, 5, 5}))),
      LAYER(Dropout3d, (), (input({4, 3, 2, 2, 2}))),
      LAYER(AlphaDropout, (), (input({4, 7}))),
      LAYER(FeatureAlphaDropout, (), (input({4, 7}))),
      LAYER(Flatten, (), (input({4, 3, 5}))),
      LAYER(Unflatten, (o::UnflattenOptions(1, {2, 3})), (input({4, 6}))),
      LAYER(Fold, (o::FoldOptions({4, 4}, 2)), (input({2, 12, 9}))),
      LAYER(Unfold, (o::UnfoldOptions(2)), (input({2, 3, 4, 4}))),
      LAYER(PixelShuffle, (o::PixelShuffleOptions(2)), (input({2, 8, 3, 3}))),
      LAYER(PixelUnshuffle, (o::PixelUnshuffleOptions(2)), (input({2, 2, 4, 4}))),
      LAYER(Upsample,
            (o::UpsampleOptions().scale_factor(std::vector<double>{2, 2}).mode(torch::kNearest)),
            (input({2, 3, 4, 4}))),
      LAYER(ReflectionPad1d, (2), (input({2, 3, 6}))),
      LAYER(ReflectionPad2d, (1), (input({2, 3, 4, 4}))),
      LAYER(ReflectionPad3d, (1), (input({2, 3, 3, 3, 3}))),
      LAYER(ReplicationPad1d, (2), (input({2, 3, 6}))),
      LAYER(ReplicationPad2d, (1), (input({2, 3, 4, 4}))),
      LAYER(ReplicationPad3d, (1), (input({2, 3, 2, 2, 2}))),
      LAYER(ZeroPad2d, (1), (input({2, 3, 4, 4}))),
      LAYER(ConstantPad1d, (2, 3.5), (input({2, 3, 6}))),
      LAYER(ConstantPad2d, (1, 3.5), (input({2, 3, 4, 4}))),
      LAYER(ConstantPad3d, (1, 3.5), (input({2, 3, 2, 2, 2}))),
  };
}

}  // namespace

torch::Tensor Inputs::operator()(torch::IntArrayRef sizes) {
  at::Generator generator = at::detail::createCPUGenerator(1000 + leaves_.size());
  leaves_.push_back(at::randn(sizes, generator, type_).requires_grad_());
  return leaves_.back();
}

const std::vector<LayerCase>& all_layers() {
  static const std::vector<LayerCase> layers = make_layers();
  return layers;
}

}  // namespace tensorquant
