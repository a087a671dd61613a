#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// RNN, GRU and LSTM. t: time, b: batch, d: directions, h: hidden, g: gates, which differ in each.
namespace tensorquant::onnx_torch {
namespace {

using Elementwise = std::function<at::Tensor(const at::Tensor&)>;

struct ActivationEntry {
  const char* name;
  std::optional<double> alpha, beta;  // defaults, of those that take them
  Elementwise (*make)(double alpha, double beta);
};

template <at::Tensor (*function)(const at::Tensor&)>
Elementwise plain(double, double) {
  return [](const at::Tensor& x) { return function(x); };
}

const ActivationEntry kActivations[] = {
    {"Tanh", {}, {}, plain<at::tanh>},
    {"Sigmoid", {}, {}, plain<at::sigmoid>},
    {"Relu", {}, {}, plain<at::relu>},
    {"Softsign",
     {},
     {},
     [](double, double) -> Elementwise {
       return [](const at::Tensor& x) { return x / (1 + at::abs(x)); };
     }},
    {"Softplus",
     {},
     {},
     [](double, double) -> Elementwise {
       return [](const at::Tensor& x) { return at::softplus(x); };
     }},
    {"Affine", 1, 0,
     [](double alpha, double beta) -> Elementwise {
       return [=](const at::Tensor& x) { return x * alpha + beta; };
     }},
    {"LeakyRelu",
     0.01,
     {},
     [](double alpha, double) -> Elementwise {
       return [=](const at::Tensor& x) { return at::leaky_relu(x, alpha); };
     }},
    {"ThresholdedRelu",
     1,
     {},
     [](double alpha, double) -> Elementwise {
       return [=](const at::Tensor& x) { return x.masked_fill(x < alpha, 0); };
     }},
    {"ScaledTanh", 1, 1,
     [](double alpha, double beta) -> Elementwise {
       return [=](const at::Tensor& x) { return at::tanh(x * beta) * alpha; };
     }},
    {"HardSigmoid", 0.2, 0.5,
     [](double alpha, double beta) -> Elementwise {
       return [=](const at::Tensor& x) { return at::clamp(x * alpha + beta, 0, 1); };
     }},
    {"Elu",
     1,
     {},
     [](double alpha, double) -> Elementwise {
       return [=](const at::Tensor& x) { return at::elu(x, alpha); };
     }},
};

bool same_letters(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// The activations in the order of the file. Each takes the next alpha and beta, if it has one.
std::vector<Elementwise> activations_of(const NodeView& node, const std::vector<std::string>& names,
                                        double clip) {
  const std::vector<double> alphas = node.numbers("activation_alpha");
  const std::vector<double> betas = node.numbers("activation_beta");
  std::size_t alpha = 0, beta = 0;
  std::vector<Elementwise> made;
  for (const std::string& name : names) {
    const auto entry =
        std::find_if(std::begin(kActivations), std::end(kActivations),
                     [&](const ActivationEntry& one) { return same_letters(one.name, name); });
    if (entry == std::end(kActivations)) throw Error("activation '" + name + "' is not known");
    const auto next = [](const std::optional<double>& otherwise, const std::vector<double>& told,
                         std::size_t& at) {
      if (!otherwise) return 0.0;
      return at < told.size() ? told[at++] : *otherwise;
    };
    const double first = next(entry->alpha, alphas, alpha), second = next(entry->beta, betas, beta);
    const Elementwise function = entry->make(first, second);
    made.push_back(clip <= 0 ? function : [=](const at::Tensor& x) {
      return function(at::clamp(x, -clip, clip));
    });
  }
  return made;
}

struct State {
  at::Tensor h, c;  // (b, h)
};

// The parameters of one direction.
struct Direction {
  at::Tensor recurrence;      // (g h, h)
  at::Tensor input_bias;      // (g h), undefined without
  at::Tensor recurrent_bias;  // (g h), undefined without
  at::Tensor peepholes;       // (3 h), undefined without
};

using Functions = const Elementwise*;
// Takes a state a step on. `gates`: what the input gives to them (b, g h), with its bias.
using Cell = std::function<void(State&, const at::Tensor& gates, const Direction&, Functions)>;

at::Tensor times(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias) {
  const at::Tensor y = at::matmul(x, matrix.t());
  return bias.defined() ? y + bias : y;
}

void step_rnn(State& state, const at::Tensor& gates, const Direction& direction, Functions f) {
  state.h = f[0](gates + times(state.h, direction.recurrence, direction.recurrent_bias));
}

Cell gru_cell(const NodeView& node) {
  const bool resets_late = node.integer("linear_before_reset", 0) != 0;
  return [resets_late](State& state, const at::Tensor& gates, const Direction& direction,
                       Functions f) {
    const std::int64_t size = state.h.size(1);
    const auto part = [&](const at::Tensor& x, std::int64_t from, std::int64_t count) {
      return x.defined() ? x.narrow(0, from * size, count * size) : x;
    };
    const at::Tensor both =
        f[0](gates.narrow(1, 0, 2 * size) + times(state.h, part(direction.recurrence, 0, 2),
                                                  part(direction.recurrent_bias, 0, 2)));
    const at::Tensor update = both.narrow(1, 0, size), reset = both.narrow(1, size, size);
    const at::Tensor matrix = part(direction.recurrence, 2, 1);
    const at::Tensor bias = part(direction.recurrent_bias, 2, 1);
    const at::Tensor recurrent =
        resets_late ? reset * times(state.h, matrix, bias) : times(reset * state.h, matrix, bias);
    const at::Tensor candidate = f[1](gates.narrow(1, 2 * size, size) + recurrent);
    state.h = (1 - update) * candidate + update * state.h;
  };
}

Cell lstm_cell(const NodeView& node) {
  const bool couples = node.integer("input_forget", 0) != 0;
  return [couples](State& state, const at::Tensor& gates, const Direction& direction, Functions f) {
    const at::Tensor all = gates + times(state.h, direction.recurrence, direction.recurrent_bias);
    const auto parts = all.chunk(4, 1);  // input, output, forget, cell
    const auto peephole = [&](std::size_t i, const at::Tensor& x, const at::Tensor& cell) {
      if (!direction.peepholes.defined()) return x;
      return x + direction.peepholes.chunk(3)[i] * cell;
    };
    const at::Tensor input = f[0](peephole(0, parts[0], state.c));
    const at::Tensor forget = couples ? 1 - input : f[0](peephole(2, parts[2], state.c));
    state.c = forget * state.c + input * f[1](parts[3]);
    const at::Tensor output = f[0](peephole(1, parts[1], state.c));
    state.h = output * f[2](state.c);
  };
}

// Each sequence from its own last element back; what lies behind it stays. x: (t, b, ...).
at::Tensor reversed(const at::Tensor& x, const at::Tensor& lengths) {
  if (!lengths.defined()) return x.flip(0);
  const at::Tensor time = at::arange(x.size(0), at::kLong).unsqueeze(1);
  const at::Tensor place = at::where(time < lengths, lengths - 1 - time, time);
  return at::index(x, {place, at::arange(x.size(1), at::kLong).unsqueeze(0)});
}

class Recurrent {
 public:
  Recurrent(const NodeView& node, Cell cell, std::int64_t gates,
            const std::vector<std::string>& usual)
      : cell_(std::move(cell)), gates_(gates), functions_count_(usual.size()) {
    const std::string direction = node.text("direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
      throw Error("direction '" + direction + "' is not known");
    }
    directions_ = direction == "bidirectional" ? 2 : 1;
    starts_reversed_ = direction == "reverse";
    batch_first_ = node.integer("layout", 0) != 0;
    std::vector<std::string> names = node.texts("activations");
    if (names.empty()) {
      for (std::int64_t d = 0; d < directions_; ++d) {
        names.insert(names.end(), usual.begin(), usual.end());
      }
    }
    if (names.size() != usual.size() * static_cast<std::size_t>(directions_)) {
      throw Error("activations: expected " + std::to_string(usual.size()) +
                  " for each direction, found " + std::to_string(names.size()));
    }
    functions_ = activations_of(node, names, node.number("clip", 0));
  }

  // X, W, R, B, sequence_lens, initial_h, initial_c, P.
  Tensors run(const Tensors& in) const {
    const at::Tensor x = batch_first_ ? in[0].transpose(0, 1) : in[0];
    check(x, in);
    const at::Tensor lengths = is_given(in, 4) ? in[4].to(at::kLong) : at::Tensor();
    Tensors y, h, c;
    for (std::int64_t d = 0; d < directions_; ++d) {
      const bool backwards = d == 1 || starts_reversed_;
      const at::Tensor read = backwards ? reversed(x, lengths) : x;
      State state = {initial(in, 5, d, x), initial(in, 6, d, x)};
      const at::Tensor outputs = run_direction(read, in, d, lengths, state);
      y.push_back(backwards ? reversed(outputs, lengths) : outputs);
      h.push_back(state.h);
      c.push_back(state.c);
    }
    if (batch_first_) {  // (b, t, d, h) and (b, d, h)
      return {at::stack(y, 2).transpose(0, 1), at::stack(h, 1), at::stack(c, 1)};
    }
    return {at::stack(y, 1), at::stack(h, 0), at::stack(c, 0)};
  }

 private:
  static std::int64_t hidden_of(const Tensors& in) { return in[2].size(2); }

  void check(const at::Tensor& x, const Tensors& in) const {
    if (x.dim() != 3 || in[1].dim() != 3 || in[2].dim() != 3) {
      throw Error("expected X, W and R of 3 dimensions");
    }
    const std::int64_t hidden = hidden_of(in);
    const auto require = [](bool fits, const char* what) {
      if (!fits) throw Error(std::string(what) + " does not fit the others");
    };
    require(in[1].sizes() == at::IntArrayRef({directions_, gates_ * hidden, x.size(2)}), "W");
    require(in[2].sizes() == at::IntArrayRef({directions_, gates_ * hidden, hidden}), "R");
    require(
        !is_given(in, 3) || in[3].sizes() == at::IntArrayRef({directions_, 2 * gates_ * hidden}),
        "B");
    require(!is_given(in, 4) || in[4].sizes() == at::IntArrayRef({x.size(1)}), "sequence_lens");
    require(!is_given(in, 7) || in[7].sizes() == at::IntArrayRef({directions_, 3 * hidden}), "P");
  }

  at::Tensor initial(const Tensors& in, std::size_t i, std::int64_t d, const at::Tensor& x) const {
    const Integers sizes = {x.size(1), hidden_of(in)};
    if (!is_given(in, i)) return at::zeros(sizes, x.options());
    const at::Tensor state = in[i].select(batch_first_ ? 1 : 0, d);
    if (state.sizes() != at::IntArrayRef(sizes)) throw Error("an initial state does not fit");
    return state;
  }

  at::Tensor run_direction(const at::Tensor& x, const Tensors& in, std::int64_t d,
                           const at::Tensor& lengths, State& state) const {
    Direction direction;
    direction.recurrence = in[2][d];
    if (is_given(in, 3)) {
      direction.input_bias = in[3][d].chunk(2)[0];
      direction.recurrent_bias = in[3][d].chunk(2)[1];
    }
    if (is_given(in, 7)) direction.peepholes = in[7][d];
    const at::Tensor gates = times(x, in[1][d], direction.input_bias);
    const Functions functions = functions_.data() + static_cast<std::size_t>(d) * functions_count_;
    Tensors outputs;
    for (std::int64_t t = 0; t < x.size(0); ++t) {
      State next = state;
      cell_(next, gates[t], direction, functions);
      if (!lengths.defined()) {
        outputs.push_back(next.h);
        state = next;
        continue;
      }
      const at::Tensor lasts = (lengths > t).unsqueeze(1);
      outputs.push_back(next.h.masked_fill(~lasts, 0));
      state.h = at::where(lasts, next.h, state.h);
      state.c = at::where(lasts, next.c, state.c);
    }
    if (outputs.empty()) return at::empty({0, x.size(1), hidden_of(in)}, x.options());
    return at::stack(outputs);
  }

  Cell cell_;
  std::int64_t gates_, directions_ = 1;
  std::size_t functions_count_;
  bool starts_reversed_ = false, batch_first_ = false;
  std::vector<Elementwise> functions_;
};

Function of(const Recurrent& layer, std::size_t outputs) {
  return [layer, outputs](const Tensors& in) {
    Tensors results = layer.run(in);
    results.resize(outputs);
    return results;
  };
}

Function rnn(const NodeView& node) { return of(Recurrent(node, step_rnn, 1, {"Tanh"}), 2); }
Function gru(const NodeView& node) {
  return of(Recurrent(node, gru_cell(node), 3, {"Sigmoid", "Tanh"}), 2);
}
Function lstm(const NodeView& node) {
  return of(Recurrent(node, lstm_cell(node), 4, {"Sigmoid", "Tanh", "Tanh"}), 3);
}

}  // namespace

Operators recurrent_operators() {
  return {{"RNN", {rnn, 3, 6}}, {"GRU", {gru, 3, 6}}, {"LSTM", {lstm, 3, 8}}};
}

}  // namespace tensorquant::onnx_torch
