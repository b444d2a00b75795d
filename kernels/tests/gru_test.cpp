// gru against plain loops in double, both ways to apply the reset gate.
#include "recurrent_oracle.h"

void test_gru() {
  using namespace floats;
  for (const bool linear : {false, true}) {
    const Recurrent base = {.op = "gru", .linear = linear};
    compare_recurrent_basics(base);
    Recurrent r = base;
    r.direction = "bidirectional";
    r.activations = "Sigmoid,Softplus,HardSigmoid,Affine";
    r.alpha = {0.25, 0.8};
    r.beta = {0.5, 0.1};
    compare_recurrent(r, "activations");
    refuse_recurrent(base);
  }
}
