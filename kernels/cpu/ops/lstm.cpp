// y, h, c: ONNX's LSTM (opset 22).
// i, f, o = f(X Wᵀ + H Rᵀ + P ⊙ c + b), c' = f ⊙ c + i ⊙ g(…), h' = o ⊙ h(c'); gates are ordered i, o, f, c.
// Inputs X, W, R, B?, lengths?, initial h?, initial c?, P?; layouts as in ONNX. Bytes: W and X once, R once per step (it stays in
// the cache), gates of all steps written and read once. See lib/recurrent.h.
#include "cpu/lib/recurrent/recurrent.h"

namespace graphopt {
namespace GK_LEVEL {

int lstm(const gk_call* call) { return recurrent<kLstm>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
