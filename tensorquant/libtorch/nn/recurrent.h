#ifndef TENSORQUANT_LIBTORCH_NN_RECURRENT_H_
#define TENSORQUANT_LIBTORCH_NN_RECURRENT_H_

#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

namespace detail {

// RNN, LSTM and GRU: a packed sequence may be the input.
template <class Impl, class Self>
class Recurrent : public QLayer<Impl, Self> {
 public:
  using QLayer<Impl, Self>::QLayer;
  auto forward_with_packed_input(const ::torch::nn::utils::rnn::PackedSequence& input,
                                 ForwardArgument<Impl, 1> state = {}) {
    return this->run([&](Impl& layer) {
      return layer.Impl::forward_with_packed_input(input, std::move(state));
    });
  }
};

}  // namespace detail

namespace nn {

TENSORQUANT_TWIN_OF(RNN, detail::Recurrent, OPTIONAL);
TENSORQUANT_TWIN_OF(LSTM, detail::Recurrent, OPTIONAL);
TENSORQUANT_TWIN_OF(GRU, detail::Recurrent, OPTIONAL);
TENSORQUANT_TWIN_OF(RNNCell, QLayer, OPTIONAL);
TENSORQUANT_TWIN_OF(LSTMCell, QLayer, OPTIONAL);
TENSORQUANT_TWIN_OF(GRUCell, QLayer, OPTIONAL);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_RECURRENT_H_
