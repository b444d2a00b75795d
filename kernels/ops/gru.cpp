// gru: X, W, R, B?, lengths?, initial h? → Y?, Y_h?.
#include "ops/recurrent.h"

namespace graphopt {

extern const OpDef op_gru;
const OpDef op_gru = {.name = "gru", .shapes = recurrent_shapes};

}  // namespace graphopt
