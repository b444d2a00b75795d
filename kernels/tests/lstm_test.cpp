// lstm against plain loops in double.
#include "recurrent_oracle.h"

void test_lstm() {
  using namespace floats;
  const Recurrent base = {.op = "lstm"};
  compare_recurrent_basics(base);
  Recurrent r = base;
  r.batch = 2;
  r.peepholes = true;
  compare_recurrent(r, "peepholes");
  r.clip = 0.4;
  compare_recurrent(r, "peepholes, clip");
  r.input_forget = true;
  compare_recurrent(r, "peepholes, clip, coupled gates");
  r.direction = "bidirectional";
  r.activations = "HardSigmoid,ScaledTanh,Softsign,Sigmoid,Relu,Tanh";
  r.alpha = {0.3, 1.7};
  r.beta = {0.4, 0.6};
  compare_recurrent(r, "activations");
  refuse_recurrent(base);
}
