// rnn: X, W, R, B?, lengths?, initial h? → Y?, Y_h?.
#include "ops/recurrent.h"

namespace graphopt {

extern const OpDef op_rnn;
const OpDef op_rnn = {.name = "rnn", .shapes = recurrent_shapes};

}  // namespace graphopt
