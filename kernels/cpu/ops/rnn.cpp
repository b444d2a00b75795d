// y, h: ONNX's RNN (opset 22): h' = f(X Wᵀ + H Rᵀ + b).
// Inputs X, W, R, B?, lengths?, initial h?; layouts as in ONNX. Bytes: W and X once, R once per step (it stays in
// the cache), gates of all steps written and read once. See lib/recurrent.h.
#include "cpu/lib/recurrent/recurrent.h"

namespace graphopt {
namespace GK_LEVEL {

int rnn(const gk_call* call) { return recurrent<kRnn>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
