// y, h: ONNX's GRU (opset 22), linear_before_reset or not.
// z, r = f(X Wᵀ + H Rᵀ + b), h' = (1 − z) ⊙ g(X Whᵀ + (r ⊙ H) Rhᵀ + b) + z ⊙ H; gates are ordered z, r, h.
// Inputs X, W, R, B?, lengths?, initial h?; layouts as in ONNX. Bytes: W and X once, R once per step (it stays in
// the cache), gates of all steps written and read once. See lib/recurrent.h.
#include "cpu/lib/recurrent/recurrent.h"

namespace graphopt {
namespace GK_LEVEL {

int gru(const gk_call* call) { return recurrent<kGruReset>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
