// Tensors of other libraries, borrowed and lent through DLPack.
#pragma once

#include <nanobind/nanobind.h>

namespace graphopt {

// Adds ForeignTensor, import_dlpack and export_dlpack to the module.
void bind_dlpack(nanobind::module_& m);

}  // namespace graphopt
