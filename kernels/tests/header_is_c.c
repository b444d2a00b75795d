/* graphopt.h is a C header, and gk_tensor has the layout of DLPack v1's DLTensor on a 64-bit machine. */
#include "graphopt/graphopt.h"

_Static_assert(sizeof(gk_device) == 8, "DLDevice");
_Static_assert(sizeof(gk_dtype) == 4, "DLDataType");
_Static_assert(offsetof(gk_tensor, device) == 8, "DLTensor.device");
_Static_assert(offsetof(gk_tensor, ndim) == 16, "DLTensor.ndim");
_Static_assert(offsetof(gk_tensor, dtype) == 20, "DLTensor.dtype");
_Static_assert(offsetof(gk_tensor, shape) == 24, "DLTensor.shape");
_Static_assert(offsetof(gk_tensor, strides) == 32, "DLTensor.strides");
_Static_assert(offsetof(gk_tensor, byte_offset) == 40, "DLTensor.byte_offset");
_Static_assert(sizeof(gk_tensor) == 48, "DLTensor");

/* A call from C links and behaves as from C++. */
int call_from_c(void) {
  gk_kernel kernel = NULL;
  return gk_find_kernel("stream_copy", GK_ISA_BEST, &kernel) == GK_OK && kernel(NULL) == GK_INVALID_ARGUMENT;
}
