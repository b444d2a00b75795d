// Functions of float32 vectors: within 2.5 ulp of the exact value (mish 4.5; gelu_tanh 2.5 ulp of x), special values
// as in C, no table, no branch except where one is named. Each is polynomials on a reduced argument; the coefficients
// are minimax fits of our own. A multiplication and an addition may or may not be fused: nothing here depends on it.
#pragma once

#include "cpu/lib/math/vmath_base.h"
#include "cpu/lib/math/vmath_erf.h"
#include "cpu/lib/math/vmath_exp.h"
#include "cpu/lib/math/vmath_log.h"
#include "cpu/lib/math/vmath_pow.h"
#include "cpu/lib/math/vmath_trig.h"
