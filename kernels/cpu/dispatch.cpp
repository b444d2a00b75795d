// From a kernel's public name to its code for one level.
#include <cstring>

#include "isa.h"

namespace graphopt {
namespace {

constexpr const char* kNames[kKernelCount] = {
#define GK_KERNEL(level, op) #op,
#include "kernels.def"
#undef GK_KERNEL
};

}  // namespace
}  // namespace graphopt

using namespace graphopt;

extern "C" {

int gk_run_kernel(const char* name, const gk_call* call) {
  if (call == nullptr || call->abi_version != GK_ABI_VERSION || call->struct_size < sizeof(gk_call)) {
    return GK_INVALID_ARGUMENT;
  }
  gk_kernel kernel = nullptr;
  const int status = gk_find_kernel(name, call->isa, &kernel);
  return status == GK_OK ? kernel(call) : status;
}

int gk_find_kernel(const char* name, int32_t isa, gk_kernel* kernel) {
  if (name == nullptr || kernel == nullptr) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < kKernelCount; ++i) {
    if (std::strcmp(name, kNames[i]) != 0) continue;
    const KernelTable* table = supported_table(isa);
    if (table == nullptr) return GK_UNSUPPORTED_ISA;
    *kernel = table->kernels[i];
    return GK_OK;
  }
  return GK_UNKNOWN_KERNEL;
}

const char* gk_kernel_name(int32_t index) { return index >= 0 && index < kKernelCount ? kNames[index] : nullptr; }

const char* gk_status_text(int status) {
  switch (status) {
    case GK_OK: return "done";
    case GK_INVALID_ARGUMENT: return "the call is malformed: its counts, shapes or sizes do not fit the kernel";
    case GK_UNSUPPORTED: return "the kernel has no code for this dtype or layout";
    case GK_UNSUPPORTED_ISA: return "the instruction set is unknown, not built in, or not supported by this CPU";
    case GK_WORKSPACE_TOO_SMALL: return "the workspace is too small";
    case GK_UNKNOWN_KERNEL: return "there is no kernel of that name";
    case GK_CANCELLED: return "the thread pool did not run every chunk";
    case GK_SYSTEM_ERROR: return "the operating system refused memory or a thread";
    default: return "unknown status";
  }
}

uint32_t gk_abi_version(void) { return GK_ABI_VERSION; }

#define GK_TEXT_OF(x) #x
#define GK_TEXT(x) GK_TEXT_OF(x)
const char* gk_version(void) {
  return GK_TEXT(GK_VERSION_MAJOR) "." GK_TEXT(GK_VERSION_MINOR) "." GK_TEXT(GK_VERSION_PATCH);
}

}  // extern "C"
