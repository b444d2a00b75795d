// lstm: X, W, R, B?, lengths?, initial h?, initial c?, P? → Y?, Y_h?, Y_c?.
#include "ops/recurrent.h"

namespace graphopt {

extern const OpDef op_lstm;
const OpDef op_lstm = {.name = "lstm", .shapes = recurrent_shapes};

}  // namespace graphopt
