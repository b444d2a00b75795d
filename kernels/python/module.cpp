// graphopt._kernels: the C ABI for Python. Arrays cross as NumPy arrays or DLPack; the GIL is
// released while kernels run.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/lib/elementwise/opcodes.h"
#include "dlpack.h"
#include "graphopt/graphopt.h"
#include "plan.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// DLPack's structs are what gk_tensor mirrors; where they ever differ, this stops compiling.
static_assert(sizeof(gk_tensor) == 48 && offsetof(gk_tensor, shape) == 24 && offsetof(gk_tensor, byte_offset) == 40);
static_assert(sizeof(nb::dlpack::dtype) == sizeof(gk_dtype));

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string supported_names() {
  std::string names;
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    if (gk_isa_supported(isa)) names += (names.empty() ? "" : ", ") + std::string(gk_isa_name(isa));
  }
  return names;
}

// ValueError for what the caller said wrong, RuntimeError for what the machine refused.
void check(int status, const std::string& what) {
  if (status == GK_OK) return;
  const std::string message = what + ": " + gk_status_text(status);
  if (status == GK_CANCELLED || status == GK_SYSTEM_ERROR) throw std::runtime_error(message);
  throw nb::value_error(message.c_str());
}

int32_t isa_of(const std::string& name) {
  const int32_t isa = gk_isa_from_name(name.c_str());
  if (isa >= 0 && gk_isa_supported(isa)) return isa;
  const std::string known = "this machine has " + supported_names();
  const std::string reason = isa < 0                ? "is not an instruction set graphopt knows"
                             : !gk_isa_built(isa) ? "was not built in"
                                                  : "is not supported by this CPU";
  throw nb::value_error(("instruction set " + quoted(name) + " " + reason + "; " + known).c_str());
}

gk_dtype dtype_of(const std::string& name) {
  static const std::map<std::string, gk_dtype> kNames = {
      {"float32", {GK_FLOAT, 32, 1}}, {"float64", {GK_FLOAT, 64, 1}},
      {"bfloat16", {GK_BFLOAT, 16, 1}}, {"int8", {GK_INT, 8, 1}}};
  const auto found = kNames.find(name);
  if (found != kNames.end()) return found->second;
  const std::string known = "known: bfloat16, float32, float64, int8";
  throw nb::value_error(("dtype " + quoted(name) + " has no arithmetic peak; " + known).c_str());
}

std::vector<std::string> built_isas() {
  std::vector<std::string> names;
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    if (gk_isa_built(isa)) names.emplace_back(gk_isa_name(isa));
  }
  return names;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    if (gk_isa_supported(isa)) names.emplace_back(gk_isa_name(isa));
  }
  return names;
}

std::vector<std::string> known_isas() {
  std::vector<std::string> names;
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) names.emplace_back(gk_isa_name(isa));
  return names;
}

std::vector<std::string> isa_features(const std::string& name) {
  const int32_t isa = gk_isa_from_name(name.c_str());
  if (isa <= 0) throw nb::value_error((quoted(name) + " is not an instruction set graphopt knows").c_str());
  std::vector<std::string> names;
  for (int32_t i = 0; gk_isa_feature(isa, i) != nullptr; ++i) names.emplace_back(gk_isa_feature(isa, i));
  return names;
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
  for (int32_t i = 0; gk_cpu_feature(i) != nullptr; ++i) names.emplace_back(gk_cpu_feature(i));
  return names;
}

// {name: (number, arity)} of the instructions of elementwise programs.
nb::dict elementwise_opcodes() {
  nb::dict opcodes;
  for (const graphopt::OpcodeInfo& info : graphopt::kOpcodes) {
    opcodes[info.name] = nb::make_tuple(info.number, info.arity);
  }
  return opcodes;
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (int32_t i = 0; gk_kernel_name(i) != nullptr; ++i) names.emplace_back(gk_kernel_name(i));
  return names;
}

gk_measurement measure_peak(const std::string& dtype, const std::string& isa, int threads, double seconds,
                            int samples) {
  gk_measurement result = {};
  const gk_measure_options options = {threads, samples, seconds};
  const int32_t level = isa_of(isa);
  const gk_dtype type = dtype_of(dtype);
  int status = GK_OK;
  {
    nb::gil_scoped_release release;
    status = gk_measure_peak(level, type, &options, &result);
  }
  check(status, "peak of " + dtype + " on " + isa);
  return result;
}

gk_measurement measure_bandwidth(const std::string& kernel, size_t bytes, const std::string& isa, int threads,
                                 double seconds, int samples) {
  gk_measurement result = {};
  const gk_measure_options options = {threads, samples, seconds};
  const int32_t level = isa_of(isa);
  int status = GK_OK;
  {
    nb::gil_scoped_release release;
    status = gk_measure_bandwidth(level, kernel.c_str(), bytes, &options, &result);
  }
  check(status, "bandwidth of " + kernel + " over " + std::to_string(bytes) + " bytes");
  return result;
}

gk_measurement measure_clock(double seconds, int samples) {
  gk_measurement result = {};
  const gk_measure_options options = {1, samples, seconds};
  int status = GK_OK;
  {
    nb::gil_scoped_release release;
    status = gk_measure_clock(&options, &result);
  }
  check(status, "clock");
  return result;
}

using Array = nb::ndarray<nb::device::cpu>;

gk_tensor tensor_of(const Array& array, std::vector<std::vector<int64_t>>& dims) {
  const nb::dlpack::dtype dtype = array.dtype();
  std::vector<int64_t> shape(array.ndim()), strides(array.ndim());
  for (size_t i = 0; i < array.ndim(); ++i) {
    shape[i] = static_cast<int64_t>(array.shape(i));
    strides[i] = array.stride(i);
  }
  dims.push_back(std::move(shape));
  int64_t* shape_data = dims.back().data();
  dims.push_back(std::move(strides));
  return {const_cast<void*>(static_cast<const void*>(array.data())), {GK_CPU, 0}, static_cast<int32_t>(array.ndim()),
          {dtype.code, dtype.bits, dtype.lanes}, shape_data, dims.back().data(), 0};
}

struct FreeAligned {
  void operator()(void* p) const { std::free(p); }
};

// Workspace of the size the kernel asks for; `prepared` outlives the call.
std::unique_ptr<void, FreeAligned> workspace_of(gk_kernel kernel, gk_call& call, gk_prepared& prepared,
                                                const std::string& what) {
  call.prepared = &prepared;
  call.phase = GK_PREPARE;
  check(kernel(&call), what);
  call.phase = GK_RUN;
  if (prepared.workspace_bytes == 0) return nullptr;
  const size_t rounded = (prepared.workspace_bytes + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT;
  std::unique_ptr<void, FreeAligned> memory(std::aligned_alloc(GK_ALIGNMENT, rounded));
  if (memory == nullptr) throw std::bad_alloc();
  call.workspace = {memory.get(), rounded};
  return memory;
}

// Attributes of a call; owns what they point at.
class Attributes {
 public:
  explicit Attributes(const nb::dict& named) {
    const size_t count = named.size();
    names_.reserve(count);
    texts_.reserve(count);
    ints_.reserve(count);
    floats_.reserve(count);
    for (const auto& [name, value] : named) {
      names_.push_back(nb::cast<std::string>(name));
      attributes_.push_back(one(nb::cast<nb::object>(value)));
      attributes_.back().name = names_.back().c_str();
    }
  }

  const gk_attribute* data() const { return attributes_.data(); }
  int32_t size() const { return static_cast<int32_t>(attributes_.size()); }

 private:
  gk_attribute one(const nb::object& value) {
    gk_attribute attribute = {nullptr, GK_ATTRIBUTE_INT, 1, {0}};
    if (nb::isinstance<nb::int_>(value)) {
      attribute.value.i = nb::cast<int64_t>(value);
    } else if (nb::isinstance<nb::float_>(value)) {
      attribute.kind = GK_ATTRIBUTE_FLOAT;
      attribute.value.f = nb::cast<double>(value);
    } else if (nb::isinstance<nb::str>(value)) {
      texts_.push_back(nb::cast<std::string>(value));
      attribute = {nullptr, GK_ATTRIBUTE_STRING, static_cast<int32_t>(texts_.back().size()), {0}};
      attribute.value.s = texts_.back().c_str();
    } else if (std::vector<int64_t> ints; nb::try_cast(value, ints, false)) {
      ints_.push_back(std::move(ints));
      attribute = {nullptr, GK_ATTRIBUTE_INTS, static_cast<int32_t>(ints_.back().size()), {0}};
      attribute.value.ints = ints_.back().data();
    } else {
      floats_.push_back(nb::cast<std::vector<double>>(value));
      attribute = {nullptr, GK_ATTRIBUTE_FLOATS, static_cast<int32_t>(floats_.back().size()), {0}};
      attribute.value.floats = floats_.back().data();
    }
    return attribute;
  }

  std::vector<std::string> names_, texts_;
  std::vector<std::vector<int64_t>> ints_;
  std::vector<std::vector<double>> floats_;
  std::vector<gk_attribute> attributes_;
};

using Input = std::optional<nb::ndarray<nb::ro, nb::device::cpu>>;

void call_kernel(const std::string& op, const std::vector<Input>& inputs, const std::vector<Array>& outputs,
                 const nb::dict& attributes, const std::string& isa) {
  const std::string what = "kernel " + quoted(op);
  gk_kernel kernel = nullptr;
  check(gk_find_kernel(op.c_str(), isa_of(isa), &kernel), what);

  std::vector<std::vector<int64_t>> dims;
  std::vector<gk_tensor> in, out;
  for (const auto& array : inputs) {
    in.push_back(array ? tensor_of(Array(*array), dims) : gk_tensor{nullptr, {GK_CPU, 0}, -1, {}, nullptr, nullptr, 0});
  }
  for (const auto& array : outputs) out.push_back(tensor_of(array, dims));
  const Attributes named(attributes);

  gk_call call = {};
  call.abi_version = GK_ABI_VERSION;
  call.struct_size = sizeof call;
  call.inputs = in.data();
  call.input_count = static_cast<int32_t>(in.size());
  call.outputs = out.data();
  call.output_count = static_cast<int32_t>(out.size());
  call.attributes = named.data();
  call.attribute_count = named.size();
  const auto prepared = std::make_unique<gk_prepared>();
  const auto workspace = workspace_of(kernel, call, *prepared, what);
  int status = GK_OK;
  {
    nb::gil_scoped_release release;
    status = kernel(&call);
  }
  check(status, what);
}

}  // namespace

NB_MODULE(_kernels, m) {
  m.doc() = "graphopt's native core: kernels per instruction set and the machine's measured ceilings.";

  nb::class_<gk_measurement>(m, "Measurement", "A measured rate per second: median, low and high of the samples.")
      .def_ro("median", &gk_measurement::median)
      .def_ro("low", &gk_measurement::low)
      .def_ro("high", &gk_measurement::high)
      .def_ro("samples", &gk_measurement::samples)
      .def_ro("threads", &gk_measurement::threads);

  nb::class_<gk_cpu>(m, "CpuIdentity", "Who made this CPU and which one it is.")
      .def_prop_ro("vendor", [](const gk_cpu& cpu) { return std::string(cpu.vendor); })
      .def_prop_ro("model_name", [](const gk_cpu& cpu) { return std::string(cpu.model_name); })
      .def_ro("family", &gk_cpu::family)
      .def_ro("model", &gk_cpu::model)
      .def_ro("stepping", &gk_cpu::stepping);

  m.def("version", [] { return std::string(gk_version()); }, "Version of the native core.");
  m.def("abi_version", &gk_abi_version, "GK_ABI_VERSION of the C ABI.");
  m.def("kernel_names", &kernel_names, "Names of the kernels, as `call` takes them.");
  m.def("elementwise_opcodes", &elementwise_opcodes,
        "{name: (number, arity)} of the instructions of elementwise programs.");
  m.def("known_isas", &known_isas, "Every instruction set there is a name for, of any architecture.");
  m.def("isa_number", [](const std::string& name) { return gk_isa_from_name(name.c_str()); }, "isa"_a,
        "Number of an instruction set in plans and in the C ABI, or -1.");
  m.def("isa_features", &isa_features, "isa"_a, "CPU features an instruction set needs, spelt as in cpu_features().");
  m.def("built_isas", &built_isas, "Instruction sets kernels were built for, slowest first.");
  m.def("supported_isas", &supported_isas, "Those of built_isas() that this CPU and operating system run.");
  m.def("best_isa", [] { return std::string(gk_isa_name(gk_isa_best())); }, "The last of supported_isas().");
  m.def("cpu_features", &cpu_features, "Instruction-set features, spelt as in /proc/cpuinfo.");
  m.def(
      "identify_cpu",
      [] {
        gk_cpu cpu;
        gk_identify_cpu(&cpu);
        return cpu;
      },
      "Vendor, model name, family, model and stepping from the CPU itself.");

  m.def("call", &call_kernel, "op"_a, "inputs"_a, "outputs"_a, nb::kw_only(),
        "attributes"_a = nb::dict(), "isa"_a = "best", "Run a kernel on arrays; outputs are written in place.");
  m.def("measure_peak", &measure_peak, "dtype"_a, nb::kw_only(), "isa"_a = "best", "threads"_a = 1, "seconds"_a = 2e-3,
        "samples"_a = 5, "Multiplications plus additions per second.");
  m.def("measure_bandwidth", &measure_bandwidth, "kernel"_a, "size"_a, nb::kw_only(), "isa"_a = "best", "threads"_a = 1,
        "seconds"_a = 2e-3, "samples"_a = 5, "Bytes per second over a working set of `size` bytes per thread.");
  m.def("measure_clock", &measure_clock, nb::kw_only(), "seconds"_a = 2e-3, "samples"_a = 5,
        "Cycles per second of the core under a scalar load.");

  graphopt::bind_plan(m);
  graphopt::bind_dlpack(m);
}
