#include "plan.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer.h"
#include "graphopt/graphopt.h"
#include "output_arrays.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace graphopt {
namespace {

// ValueError for what the caller gave, MemoryError and RuntimeError for what the machine refused.
void check(int status, const gk_message& message) {
  if (status == GK_OK) return;
  if (status == GK_INVALID_ARGUMENT || status == GK_UNSUPPORTED) throw nb::value_error(message.text);
  throw std::runtime_error(message.text);
}

std::string name_of(gk_dtype dtype) {
  const std::string bits = std::to_string(dtype.bits);
  switch (dtype.code) {
    case GK_INT: return "int" + bits;
    case GK_UINT: return "uint" + bits;
    case GK_BFLOAT: return "bfloat" + bits;
    case GK_BOOL: return "bool";
    default: return "float" + bits;
  }
}

struct ClosePlan {
  void operator()(gk_plan* plan) const { gk_plan_close(plan); }
};

// Whether an object's memory is a mapped file: then its pages come back by themselves when dropped.
bool is_mapped_file(nb::handle object) {
  nb::object owner = nb::borrow(object);
  if (PyMemoryView_Check(owner.ptr())) owner = owner.attr("obj");
  const nb::handle type = owner.type();
  return nb::cast<std::string>(type.attr("__module__")) == "mmap" &&
         nb::cast<std::string>(type.attr("__name__")) == "mmap";
}

class PythonPlan {
 public:
  PythonPlan(nb::handle data, nb::handle weights, const std::string& isa, int threads, uint64_t memory_limit)
      : data_(Buffer::bytes(data)) {
    if (!weights.is_none()) weights_.emplace(Buffer::bytes(weights));
    gk_plan_options options = {};
    options.struct_size = sizeof options;
    options.isa = gk_isa_from_name(isa.c_str());
    if (options.isa < 0) {
      throw nb::value_error(("'" + isa + "' is not an instruction set graphopt knows").c_str());
    }
    options.threads = threads;
    options.release_weights = weights_ && weights_->view().readonly && is_mapped_file(weights);
    options.memory_limit = memory_limit;
    gk_plan* plan = nullptr;
    gk_message message;
    const void* weight_bytes = weights_ ? weights_->view().buf : nullptr;
    const size_t weight_size = weights_ ? static_cast<size_t>(weights_->view().len) : 0;
    int status;
    {
      nb::gil_scoped_release release;
      status = gk_plan_open(data_.view().buf, static_cast<size_t>(data_.view().len), weight_bytes, weight_size,
                            &options, &plan, &message);
    }
    check(status, message);
    plan_.reset(plan);
    each(plan, gk_plan_input_count, gk_plan_input, [this](const gk_value_info& info) { keep(info, &input_names_); });
    each(plan, gk_plan_output_count, gk_plan_output, [this](const gk_value_info& info) { keep(info, &output_names_); });
    outputs_.resize(output_names_.size());
  }

  nb::list inputs() const { return described(gk_plan_input_count, gk_plan_input); }
  nb::list outputs() const { return described(gk_plan_output_count, gk_plan_output); }

  std::string isa() const { return gk_isa_name(gk_plan_isa(plan_.get())); }

  nb::dict run(const nb::dict& feeds) { return run_with(feeds, nullptr); }

  nb::tuple profile(const nb::dict& feeds) {
    std::vector<gk_step_time> times(256);
    gk_run_options options = {};
    options.struct_size = sizeof options;
    nb::dict results;
    for (;;) {
      options.times = times.data();
      options.time_capacity = static_cast<int32_t>(times.size());
      results = run_with(feeds, &options);
      if (options.time_count <= options.time_capacity) break;
      times.resize(static_cast<size_t>(options.time_count));
    }
    nb::list steps;
    for (int32_t i = 0; i < options.time_count; ++i) {
      const gk_step_time& time = times[static_cast<size_t>(i)];
      steps.append(nb::make_tuple(time.name, time.op, time.seconds));
    }
    return nb::make_tuple(results, steps);
  }

  nb::dict memory() const {
    gk_plan_memory memory = {};
    memory.struct_size = sizeof memory;
    gk_plan_get_memory(plan_.get(), &memory);
    nb::dict found;
    found["arena"] = memory.arena_bytes;
    found["packed"] = memory.packed_bytes;
    found["folded"] = memory.folded_bytes;
    found["shapes"] = memory.shapes;
    found["lanes"] = memory.lanes;
    return found;
  }

  void park() { gk_plan_park(plan_.get()); }

 private:
  using Count = int32_t (*)(const gk_plan*);
  using Describe = int (*)(const gk_plan*, int32_t, gk_value_info*);

  template <class Visit>
  static void each(const gk_plan* plan, Count count, Describe get, Visit visit) {
    for (int32_t i = 0; i < count(plan); ++i) {
      gk_value_info info = {};
      info.struct_size = sizeof info;
      get(plan, i, &info);
      visit(info);
    }
  }

  static void keep(const gk_value_info& info, std::vector<nb::object>* names) {
    names->push_back(nb::steal(PyUnicode_InternFromString(info.name)));
    if (!names->back().is_valid()) throw nb::python_error();
  }

  nb::list described(Count count, Describe get) const {
    nb::list found;
    each(plan_.get(), count, get, [&](const gk_value_info& info) { found.append(describe(info)); });
    return found;
  }

  nb::tuple describe(const gk_value_info& info) const {
    if (info.ndim < 0) return nb::make_tuple(info.name, name_of(info.dtype), nb::none());
    nb::list dims;
    for (int i = 0; i < info.ndim; ++i) {
      const int64_t dim = info.dims[i];
      if (dim >= 0) {
        dims.append(dim);
      } else if (dim == -1) {
        dims.append(nb::none());
      } else {
        dims.append(nb::str(gk_plan_symbol(plan_.get(), dim)));
      }
    }
    return nb::make_tuple(info.name, name_of(info.dtype), nb::tuple(dims));
  }

  // The tensors of one call; their memory is held by `buffers`.
  struct Feeds {
    explicit Feeds(size_t count) : buffers(count), tensors(count), strides(count * GK_MAX_RANK) {}
    std::vector<Buffer> buffers;
    std::vector<gk_tensor> tensors;
    std::vector<int64_t> strides;
  };

  void read(const nb::dict& feeds, Feeds* found) const {
    for (size_t i = 0; i < input_names_.size(); ++i) {
      PyObject* array = PyDict_GetItemWithError(feeds.ptr(), input_names_[i].ptr());
      const auto name = [&] { return nb::cast<std::string>(input_names_[i]); };
      if (array == nullptr) throw nb::value_error(("input '" + name() + "' is missing").c_str());
      bool bfloat16 = false;
      if (!found->buffers[i].read_array(array)) {
        // NumPy has no word for bfloat16: its arrays cross as their bits.
        const nb::object kind = nb::getattr(nb::handle(array), "dtype", nb::none());
        bfloat16 = !kind.is_none() && nb::cast<std::string>(nb::str(kind)) == "bfloat16";
        const nb::object bits = bfloat16 ? nb::handle(array).attr("view")("uint16") : nb::object();
        if (!bfloat16 || !found->buffers[i].read_array(bits)) {
          throw nb::value_error(("input '" + name() + "' is no array of numbers").c_str());
        }
      }
      if (found->buffers[i].steps_inside_elements()) {
        const nb::object copy = nb::module_::import_("numpy").attr("ascontiguousarray")(nb::handle(array));
        found->buffers[i].read_array(bfloat16 ? nb::object(copy.attr("view")("uint16")) : copy);
      }
      gk_tensor& tensor = found->tensors[i] = found->buffers[i].tensor(&found->strides[i * GK_MAX_RANK]);
      if (bfloat16) tensor.dtype.code = GK_BFLOAT;
      if (tensor.dtype.lanes != 1) {
        throw nb::value_error(("input '" + name() + "' is no array of numbers in this machine's byte order").c_str());
      }
    }
    if (feeds.size() == input_names_.size()) return;
    for (const auto& [key, array] : feeds) {
      bool known = false;
      for (const nb::object& name : input_names_) known = known || key.equal(name);
      if (!known) throw nb::value_error(("there is no input '" + nb::cast<std::string>(nb::str(key)) + "'").c_str());
    }
  }

  nb::dict run_with(const nb::dict& feeds, gk_run_options* options) {
    Feeds in(input_names_.size());
    read(feeds, &in);
    const size_t count = output_names_.size();
    std::vector<gk_tensor> out(count);
    std::vector<int64_t> dims(count * GK_MAX_RANK);
    for (size_t i = 0; i < count; ++i) out[i] = {nullptr, {GK_CPU, 0}, 0, {}, &dims[i * GK_MAX_RANK], nullptr, 0};
    gk_message message;
    int status;
    {
      nb::gil_scoped_release release;
      status = gk_plan_shapes(plan_.get(), in.tensors.data(), out.data(), &message);
    }
    check(status, message);
    std::vector<nb::object> arrays;
    for (size_t i = 0; i < count; ++i) arrays.push_back(outputs_[i].take(&out[i]));
    {
      nb::gil_scoped_release release;
      status = gk_plan_run(plan_.get(), in.tensors.data(), out.data(), options, &message);
    }
    check(status, message);
    nb::dict results;
    for (size_t i = 0; i < count; ++i) {
      nb::object array = out[i].dtype.code == GK_BFLOAT ? as_bfloat16(arrays[i]) : std::move(arrays[i]);
      if (PyDict_SetItem(results.ptr(), output_names_[i].ptr(), array.ptr()) != 0) throw nb::python_error();
    }
    return results;
  }

  Buffer data_;
  std::optional<Buffer> weights_;
  std::unique_ptr<gk_plan, ClosePlan> plan_; // ends before the memory it reads
  std::vector<nb::object> input_names_, output_names_;
  std::vector<OutputArrays> outputs_;
};

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<PythonPlan>(m, "Plan", "A compiled region or model, opened from the bytes of a plan file.")
      .def(nb::init<nb::handle, nb::handle, const std::string&, int, uint64_t>(), "data"_a, "weights"_a = nb::none(),
           nb::kw_only(), "isa"_a = "best", "threads"_a = 1, "memory_limit"_a = 0)
      .def_prop_ro("inputs", &PythonPlan::inputs, "(name, dtype, shape) of each; a dim is a size, a symbol or None.")
      .def_prop_ro("outputs", &PythonPlan::outputs, "(name, dtype, shape) of each, as the model declares it; None where it does not.")
      .def_prop_ro("isa", &PythonPlan::isa, "The instruction set it runs on.")
      .def("run", &PythonPlan::run, "feeds"_a, "Outputs by name.")
      .def("profile", &PythonPlan::profile, "feeds"_a,
           "Outputs by name, and (node, operator, seconds) of each step of the run.")
      .def("memory", &PythonPlan::memory, "Bytes held: arena, packed, folded; sets of shapes and lanes remembered.")
      .def("park", &PythonPlan::park, "Threads that wait awake for a next run go to sleep.");
}

}  // namespace graphopt
