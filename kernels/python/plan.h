// graphopt._kernels.Plan: an open plan for Python.
#pragma once

#include <nanobind/nanobind.h>

namespace graphopt {

void bind_plan(nanobind::module_& m);

}  // namespace graphopt
