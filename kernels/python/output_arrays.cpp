#include "output_arrays.h"

#include <algorithm>
#include <string>

#include "buffer.h"

namespace nb = nanobind;

namespace graphopt {
namespace {

constexpr size_t kMostKept = 4;

const char* numpy_name(gk_dtype dtype) {
  switch (dtype.code) {
    case GK_BOOL: return "bool";
    case GK_BFLOAT: return "uint16";
    case GK_FLOAT: return dtype.bits == 16 ? "float16" : dtype.bits == 32 ? "float32" : "float64";
    case GK_INT: return dtype.bits == 8 ? "int8" : dtype.bits == 16 ? "int16" : dtype.bits == 32 ? "int32" : "int64";
    default: return dtype.bits == 8 ? "uint8" : dtype.bits == 16 ? "uint16" : dtype.bits == 32 ? "uint32" : "uint64";
  }
}

}  // namespace

nb::object OutputArrays::take(gk_tensor* tensor) {
  const int64_t *begin = tensor->shape, *end = begin + tensor->ndim;
  for (const Kept& kept : kept_) {
    if (Py_REFCNT(kept.array.ptr()) != 1 || kept.dtype.code != tensor->dtype.code ||
        kept.dtype.bits != tensor->dtype.bits ||
        !std::equal(kept.shape.begin(), kept.shape.end(), begin, end)) {
      continue;
    }
    tensor->data = kept.data;
    return kept.array;
  }
  nb::list shape;
  for (int i = 0; i < tensor->ndim; ++i) shape.append(tensor->shape[i]);
  nb::object array = nb::module_::import_("numpy").attr("empty")(nb::tuple(shape), numpy_name(tensor->dtype));
  Buffer buffer;
  buffer.read_array(array);
  tensor->data = buffer.view().buf;
  Kept kept = {array, tensor->data, tensor->dtype, std::vector<int64_t>(begin, end)};
  if (kept_.size() < kMostKept) {
    kept_.push_back(std::move(kept));
  } else {
    kept_[next_++ % kMostKept] = std::move(kept);
  }
  return array;
}

nb::object as_bfloat16(const nb::object& bits) {
  return bits.attr("view")(nb::module_::import_("ml_dtypes").attr("bfloat16"));
}

}  // namespace graphopt
