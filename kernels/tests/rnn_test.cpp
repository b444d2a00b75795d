// rnn against plain loops in double, with every activation.
#include "recurrent_oracle.h"

void test_rnn() {
  using namespace floats;
  const Recurrent base = {.op = "rnn"};
  compare_recurrent_basics(base);
  for (const char* name : {"Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh",
                           "HardSigmoid", "Elu", "Softsign", "Softplus"}) {
    Recurrent r = base;
    r.activations = name;
    compare_recurrent(r, name);
    r.alpha = {0.4};
    r.beta = {0.2};
    compare_recurrent(r, std::string(name) + " with parameters");
  }
  refuse_recurrent(base);
}
