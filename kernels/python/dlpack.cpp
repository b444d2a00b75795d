// DLPack both ways: nanobind's arrays read the capsules of others and make ours. No byte of a tensor is read or
// written here, so that it works for memory of any device without that device's libraries.
#include "dlpack.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace graphopt {
namespace {

// A tensor somebody else owns. It stays alive for as long as this does; its memory is never touched
// here, so it may lie on any device.
struct ForeignTensor {
  nb::ndarray<nb::ro> array;

  uintptr_t pointer() const { return reinterpret_cast<uintptr_t>(array.data()); }

  std::vector<int64_t> shape() const {
    std::vector<int64_t> sizes(array.ndim());
    for (size_t i = 0; i < sizes.size(); ++i) sizes[i] = static_cast<int64_t>(array.shape(i));
    return sizes;
  }

  // In elements, as DLPack counts them.
  std::vector<int64_t> strides() const {
    std::vector<int64_t> steps(array.ndim());
    for (size_t i = 0; i < steps.size(); ++i) steps[i] = array.stride(i);
    return steps;
  }
};

// A capsule named "dltensor" over memory that `owner` keeps alive, row-major.
nb::object export_dlpack(uintptr_t pointer, const std::vector<int64_t>& shape, int code, int bits, int device_type,
                         int device_id, nb::object owner) {
  std::vector<size_t> sizes;
  for (const int64_t size : shape) {
    if (size < 0) throw nb::value_error("a size is negative");
    sizes.push_back(static_cast<size_t>(size));
  }
  if (code < 0 || code > UINT8_MAX || bits <= 0 || bits > UINT8_MAX) throw nb::value_error("no such dtype");
  const nb::dlpack::dtype dtype = {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
  nb::ndarray<> array(reinterpret_cast<void*>(pointer), sizes.size(), sizes.data(), std::move(owner), nullptr, dtype,
                      device_type, device_id);
  return nb::cast(std::move(array), nb::rv_policy::reference);
}

}  // namespace

void bind_dlpack(nb::module_& m) {
  nb::class_<ForeignTensor>(m, "ForeignTensor", "A tensor of another library, alive for as long as this object.")
      .def_prop_ro("pointer", &ForeignTensor::pointer)
      .def_prop_ro("shape", &ForeignTensor::shape)
      .def_prop_ro("strides", &ForeignTensor::strides)
      .def_prop_ro("code", [](const ForeignTensor& t) { return static_cast<int>(t.array.dtype().code); })
      .def_prop_ro("bits", [](const ForeignTensor& t) { return static_cast<int>(t.array.dtype().bits); })
      .def_prop_ro("lanes", [](const ForeignTensor& t) { return static_cast<int>(t.array.dtype().lanes); })
      .def_prop_ro("device_type", [](const ForeignTensor& t) { return t.array.device_type(); })
      .def_prop_ro("device_id", [](const ForeignTensor& t) { return t.array.device_id(); });

  m.def(
      "import_dlpack", [](nb::ndarray<nb::ro> capsule) { return ForeignTensor{std::move(capsule)}; }, "capsule"_a,
      "Take over what a DLPack capsule holds.");
  m.def("export_dlpack", &export_dlpack, "pointer"_a, "shape"_a, "code"_a, "bits"_a, "device_type"_a, "device_id"_a,
        "owner"_a, "A DLPack capsule over row-major memory that `owner` keeps alive.");
}

}  // namespace graphopt
