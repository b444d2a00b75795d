#include "executor/resolver.h"

#include <algorithm>
#include <map>

#include "executor/call_list.h"
#include "executor/failure.h"
#include "executor/folding.h"

namespace graphopt {
namespace {

// What is known of a value.
struct Known {
  Ref ref;
  const char* contents = nullptr; // row-major, where they are known by now
};

// No tensor is larger: indices stay far from overflow.
constexpr int64_t kMostBytes = int64_t{1} << 46;

class Resolver {
 public:
  Resolver(const PlanData& plan, Schedule* schedule) : plan_(plan), schedule_(*schedule), known_(plan.values.size()) {}

  void resolve(const std::vector<TensorType>& inputs, const std::vector<const void*>& contents) {
    for (size_t i = 0; i < inputs.size(); ++i) define_input(i, inputs[i], contents[i]);
    walk(plan_.program);
    for (const uint32_t output : plan_.program.outputs) {
      const Known& known = value(static_cast<int32_t>(output));
      schedule_.outputs.push_back(known.ref);
      schedule_.output_types.push_back(known.ref.type);
    }
  }

 private:
  Known& value(int32_t index) {
    Known& known = known_[static_cast<size_t>(index)];
    const PlanValue& declared = plan_.values[static_cast<size_t>(index)];
    if (!known.ref.present() && declared.kind == ValueKind::kConstant) {
      known = fixed({declared.dtype, declared.dims}, static_cast<const char*>(declared.data));
      schedule_.storages.back().constant = index;
    }
    return known;
  }

  int64_t bytes_of(const TensorType& type) {
    // The dims of an empty tensor are limited as well: shape functions multiply them.
    int64_t most = 1;
    for (int i = 0; i < type.dims.rank; ++i) {
      const int64_t dim = type.dims[i];
      if (dim < 0 || __builtin_mul_overflow(most, std::max<int64_t>(dim, 1), &most) || most > kMostBytes / 8) {
        refuse("a tensor of shape " + text_of(type.dims) + " is too large");
      }
    }
    return element_count(type.dims) * element_bytes(type.dtype);
  }

  Ref new_ref(const TensorType& type, Storage storage) {
    storage.bytes = bytes_of(type);
    schedule_.storages.push_back(storage);
    return {static_cast<int>(schedule_.storages.size()) - 1, type, compact_strides(type.dims), 0, true};
  }

  Known fixed(const TensorType& type, const char* data) {
    Storage storage;
    storage.where = Where::kFixed;
    storage.data = data;
    return {new_ref(type, storage), data};
  }

  char* memory(int64_t bytes) {
    schedule_.memory_bytes += static_cast<uint64_t>(bytes);
    return schedule_.memory.emplace_back(static_cast<size_t>(bytes), schedule_.allocator).data();
  }

  void define_input(size_t number, const TensorType& type, const void* contents) {
    Known& known = known_[plan_.program.inputs[number]];
    if (contents != nullptr) {
      const int64_t bytes = bytes_of(type);
      char* copy = memory(bytes);
      std::copy_n(static_cast<const char*>(contents), bytes, copy);
      known = fixed(type, copy);
      return;
    }
    Storage storage;
    storage.where = Where::kInput;
    storage.index = static_cast<int>(number);
    known = {new_ref(type, storage), nullptr};
  }

  void walk(const Program& program) {
    for (const Step& step : program.steps) {
      if (step.op == "if") {
        branch(step);
      } else {
        compute(step);
      }
    }
  }

  std::vector<Operand> operands_of(const Step& step) {
    std::vector<Operand> operands;
    for (const int32_t input : step.inputs) {
      Operand& operand = operands.emplace_back();
      if (input < 0) continue;
      const Known& known = value(input);
      operand = {true, known.ref.type, known.contents};
    }
    return operands;
  }

  static std::string name(const Step& step) { return "step " + quoted(step.name) + " (" + step.op + ")"; }

  std::vector<TensorType> types_of(const Step& step, std::span<const Operand> operands) {
    std::vector<TensorType> types(step.outputs.size());
    ShapeCall call = {operands, {step.attributes.data(), static_cast<int>(step.attributes.size())}, types, {}};
    if (!step.def->shapes(call)) {
      std::string shapes;
      for (const Operand& operand : operands) {
        shapes += (shapes.empty() ? "" : ", ") + (operand.present ? text_of(operand.type.dims) : "none");
      }
      refuse(name(step) + ": " + call.error + "; its inputs are " + shapes);
    }
    if (step.op == "if") return types;
    for (size_t i = 0; i < types.size(); ++i) {
      if (step.outputs[i] < 0) continue;
      const PlanValue& declared = plan_.values[static_cast<size_t>(step.outputs[i])];
      if (declared.dtype.code != types[i].dtype.code || declared.dtype.bits != types[i].dtype.bits) {
        refuse(name(step) + " computes another dtype for " + quoted(declared.name) + " than the plan says");
      }
      bytes_of(types[i]);
    }
    return types;
  }

  void compute(const Step& step) {
    const std::vector<Operand> operands = operands_of(step);
    const std::vector<TensorType> types = types_of(step, operands);
    if (step.def->view != nullptr) {
      view(step, operands, types);
    } else if (!fold(step, operands, types)) {
      emit(step, types);
    }
  }

  // ---- views ----

  void view(const Step& step, std::span<const Operand> operands, std::span<const TensorType> types) {
    if (operands.empty() || !operands[0].present) refuse(name(step) + " has no input to view");
    Ref base = value(step.inputs[0]).ref;
    std::vector<ViewOf> views(types.size());
    const auto ask = [&] {
      ViewCall call = {operands,
                       {step.attributes.data(), static_cast<int>(step.attributes.size())},
                       base.strides,
                       types,
                       views};
      return step.def->view(call);
    };
    if (!ask()) {
      base = compacted(step.inputs[0]);
      if (!ask()) refuse(name(step) + " is no view of its input");
    }
    const char* contents = value(step.inputs[0]).contents;
    for (size_t i = 0; i < types.size(); ++i) {
      if (step.outputs[i] < 0) continue;
      Ref ref = {base.storage, types[i], views[i].strides, base.offset, true};
      ref.strides.rank = types[i].dims.rank;
      ref.offset += views[i].offset * element_bytes(types[i].dtype);
      ref.compact = is_compact(ref.type.dims, ref.strides);
      if (element_count(ref.type.dims) == 0) {
        ref.offset = base.offset;
      } else {
        check_inside(step, ref);
      }
      Known& result = known_[static_cast<size_t>(step.outputs[i])];
      result = {ref, nullptr};
      if (contents != nullptr) look_inside(&result);
    }
  }

  // A view of known contents is known; one with gaps is written out where it is small.
  void look_inside(Known* result) {
    const Storage& storage = schedule_.root_of(result->ref);
    if (storage.where != Where::kFixed) return;
    const char* begin = storage.data + result->ref.offset;
    if (result->ref.compact) {
      result->contents = begin;
      return;
    }
    const TensorType type = result->ref.type;
    const int64_t bytes = bytes_of(type);
    if (bytes > kMostFoldedBytes) return;
    char* copy = memory(bytes);
    copy_strided(begin, type.dims, result->ref.strides, element_bytes(type.dtype), copy);
    *result = fixed(type, copy);
  }

  void check_inside(const Step& step, const Ref& ref) {
    const int64_t element = element_bytes(ref.type.dtype);
    int64_t low = ref.offset, high = ref.offset + element;
    for (int i = 0; i < ref.type.dims.rank; ++i) {
      const int64_t reach = (ref.type.dims[i] - 1) * ref.strides[i] * element;
      (reach < 0 ? low : high) += reach;
    }
    if (low < 0 || high > schedule_.storages[static_cast<size_t>(ref.storage)].bytes) {
      refuse(name(step) + " looks outside its input");
    }
  }

  // ---- calls ----

  bool fold(const Step& step, std::span<const Operand> operands, std::span<const TensorType> types) {
    for (const Operand& operand : operands) {
      if (operand.present && operand.value == nullptr && !step.def->reads_types_only) return false;
    }
    int64_t bytes = 0;
    for (const TensorType& type : types) {
      bytes += bytes_of(type);
      if (bytes > kMostFoldedBytes) return false;
    }
    ScheduledCall call;
    call.step = &step;
    call.def = step.def;
    call.kernel = step.kernel;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    for (size_t i = 0; i < operands.size(); ++i) {
      Ref& ref = call.inputs.emplace_back();
      if (operands[i].present) ref = {0, operands[i].type, compact_strides(operands[i].type.dims), 0, true};
      inputs.push_back(operands[i].value);
    }
    for (size_t i = 0; i < types.size(); ++i) {
      Ref& ref = call.outputs.emplace_back();
      outputs.push_back(nullptr);
      if (step.outputs[i] < 0) continue;
      char* data = memory(bytes_of(types[i]));
      known_[static_cast<size_t>(step.outputs[i])] = fixed(types[i], data);
      ref = known_[static_cast<size_t>(step.outputs[i])].ref;
      outputs.back() = data;
    }
    run_once(call, inputs, outputs, schedule_.allocator);
    return true;
  }

  void emit(const Step& step, std::span<const TensorType> types) {
    ScheduledCall call;
    call.step = &step;
    call.def = step.def;
    call.kernel = step.kernel;
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      Ref& ref = call.inputs.emplace_back();
      if (step.inputs[i] < 0) continue;
      ref = value(step.inputs[i]).ref;
      if (!takes(step, i, ref)) ref = compacted(step.inputs[i]);
    }
    for (size_t i = 0; i < types.size(); ++i) {
      Ref& ref = call.outputs.emplace_back();
      if (step.outputs[i] < 0) continue;
      ref = new_ref(types[i], {});
      known_[static_cast<size_t>(step.outputs[i])] = {ref, nullptr};
    }
    schedule_.calls.push_back(std::move(call));
  }

  // The value without gaps: itself, or a copy that later steps share.
  Ref compacted(int32_t index) {
    const Ref ref = value(index).ref;
    if (ref.compact) return ref;
    const auto found = compacted_.find(index);
    if (found != compacted_.end()) return found->second;
    const Ref copy = new_ref(ref.type, {});
    emit_copy(ref, copy);
    return compacted_[index] = copy;
  }

  void emit_copy(const Ref& from, const Ref& to) {
    schedule_.calls.push_back(copy_call(plan_, from, to));
  }

  // ---- branches ----

  void branch(const Step& step) {
    const std::vector<Operand> operands = operands_of(step);
    types_of(step, operands);
    if (operands[0].value != nullptr) {
      const Program& taken = step.programs[*static_cast<const uint8_t*>(operands[0].value) != 0 ? 0 : 1];
      walk(taken);
      for (size_t i = 0; i < step.outputs.size(); ++i) {
        if (step.outputs[i] >= 0) set_result(step, i, value(static_cast<int32_t>(taken.outputs[i])));
      }
      return;
    }
    const int unless = emit_jump(CallKind::kJumpUnless);
    schedule_.calls.back().inputs = {compacted_outside(step.inputs[0])};
    const std::vector<Ref> results = arm(step, 0, {});
    const int jump = emit_jump(CallKind::kJump);
    set_target(unless);
    arm(step, 1, results);
    set_target(jump);
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      if (step.outputs[i] >= 0) set_result(step, i, {results[i], nullptr});
    }
  }

  // The condition: one element, so any strides are compact.
  Ref compacted_outside(int32_t index) {
    Ref ref = value(index).ref;
    ref.compact = true;
    return ref;
  }

  void set_result(const Step& step, size_t i, const Known& known) {
    const PlanValue& declared = plan_.values[static_cast<size_t>(step.outputs[i])];
    if (declared.dtype.code != known.ref.type.dtype.code || declared.dtype.bits != known.ref.type.dtype.bits) {
      refuse(name(step) + " computes another dtype for " + quoted(declared.name) + " than the plan says");
    }
    known_[static_cast<size_t>(step.outputs[i])] = known;
  }

  int emit_jump(CallKind kind) {
    schedule_.calls.emplace_back().kind = kind;
    return static_cast<int>(schedule_.calls.size()) - 1;
  }

  void set_target(int jump) {
    schedule_.calls[static_cast<size_t>(jump)].target = static_cast<int>(schedule_.calls.size());
  }

  // One branch; its results are copied to where both branches leave them, which the first one decides. Copies
  // made inside a branch are not there outside.
  std::vector<Ref> arm(const Step& step, size_t which, std::vector<Ref> results) {
    const auto outside = compacted_;
    const Program& program = step.programs[which];
    walk(program);
    const bool first = which == 0;
    for (size_t i = 0; i < program.outputs.size(); ++i) {
      const Known known = value(static_cast<int32_t>(program.outputs[i]));
      const TensorType& type = known.ref.type;
      if (first) {
        results.push_back(new_ref(type, {}));
      } else if (!same(type, results[i].type)) {
        refuse(name(step) + ": its branches give shapes " + text_of(results[i].type.dims) + " and " +
               text_of(type.dims) + " for output " + std::to_string(i));
      }
      emit_copy(known.ref, results[i]);
    }
    compacted_ = outside;
    return results;
  }

  static bool same(const TensorType& a, const TensorType& b) {
    return a.dtype.code == b.dtype.code && a.dtype.bits == b.dtype.bits && a.dims.rank == b.dims.rank &&
           std::equal(a.dims.at, a.dims.at + a.dims.rank, b.dims.at);
  }

  const PlanData& plan_;
  Schedule& schedule_;
  std::vector<Known> known_;
  std::map<int32_t, Ref> compacted_;
};

}  // namespace

void resolve(const PlanData& plan, const std::vector<TensorType>& inputs, const std::vector<const void*>& contents,
             Schedule* schedule) {
  Resolver(plan, schedule).resolve(inputs, contents);
}

}  // namespace graphopt
