#include "executor/concat_in_place.h"

#include <algorithm>

#include "executor/call_list.h"

namespace graphopt {
namespace {

class Concatenation {
 public:
  // `instead`: the copies that stand for concats already, which are not in the schedule yet.
  Concatenation(Schedule* schedule, std::vector<std::vector<ScheduledCall>>* instead, const ScheduledCall& call)
      : schedule_(*schedule), instead_(*instead), call_(call) {
    const AttributeView attributes(call.step->attributes.data(), static_cast<int>(call.step->attributes.size()));
    axis_ = normalized_axis(attributes.integer("axis", 0), call.outputs[0].type.dims.rank);
  }

  // The part of the output that input `index` is.
  Ref part(size_t index) const {
    Ref part = call_.outputs[0];
    int64_t before = 0;
    for (size_t i = 0; i < index; ++i) before += call_.inputs[i].type.dims[axis_];
    part.offset += before * part.strides[axis_] * element_bytes(part.type.dtype);
    part.type = call_.inputs[index].type;
    part.compact = is_compact(part.type.dims, part.strides);
    return part;
  }

  // Makes input `index` where the output is, or changes nothing.
  bool place(size_t index) {
    const Ref input = call_.inputs[index];
    const Storage& storage = schedule_.storages[static_cast<size_t>(input.storage)];
    if (storage.where != Where::kArena || storage.bytes == 0 || !is_whole(input, schedule_)) return false;
    if (input.storage == call_.outputs[0].storage) return false;
    const Ref placed = part(index);
    if (!all_refs(input.storage, [&](const ScheduledCall& call, const Ref& ref, size_t at, bool is_output) {
          if (!placed.compact && !is_same_view(ref, input)) return false;
          if (call.kind != CallKind::kKernel) return false;
          if (call.def == nullptr) return true; // a copy reads and writes anything
          return is_output ? gives(*call.step, at, placed) : takes(*call.step, at, placed);
        })) {
      return false;
    }
    all_refs(input.storage, [&](ScheduledCall&, Ref& ref, size_t, bool) {
      if (!placed.compact) {
        ref = placed;
      } else {
        ref.storage = placed.storage;
        ref.offset += placed.offset;
      }
      return true;
    });
    return true;
  }

 private:
  static bool is_same_view(const Ref& a, const Ref& b) {
    return a.compact && a.offset == b.offset && a.type.dims.rank == b.type.dims.rank &&
           std::equal(a.type.dims.at, a.type.dims.at + a.type.dims.rank, b.type.dims.at) &&
           a.type.dtype.bits == b.type.dtype.bits;
  }

  template <class Visit>
  bool all_refs(int storage, Visit visit) {
    if (!refs_of(schedule_.calls, storage, visit)) return false;
    for (std::vector<ScheduledCall>& calls : instead_) {
      if (!refs_of(calls, storage, visit)) return false;
    }
    return true;
  }

  template <class Visit>
  static bool refs_of(std::vector<ScheduledCall>& calls, int storage, Visit visit) {
    for (ScheduledCall& call : calls) {
      for (size_t i = 0; i < call.inputs.size(); ++i) {
        if (call.inputs[i].storage == storage && !visit(call, call.inputs[i], i, false)) return false;
      }
      for (size_t i = 0; i < call.outputs.size(); ++i) {
        if (call.outputs[i].storage == storage && !visit(call, call.outputs[i], i, true)) return false;
      }
    }
    return true;
  }

  Schedule& schedule_;
  std::vector<std::vector<ScheduledCall>>& instead_;
  const ScheduledCall& call_;
  int axis_ = 0;
};

bool is_concat(const ScheduledCall& call) {
  if (call.step == nullptr || call.step->op != "concat" || !call.outputs[0].present()) return false;
  return std::all_of(call.inputs.begin(), call.inputs.end(), [](const Ref& ref) { return ref.present(); });
}

}  // namespace

void concatenate_in_place(const PlanData& plan, Schedule* schedule) {
  if (plan.copy == nullptr) return;
  std::vector<std::vector<ScheduledCall>> instead(schedule->calls.size());
  std::vector<bool> replaced(schedule->calls.size());
  // The last one first: a concat whose result is placed in another's finds its output there already.
  for (size_t at = schedule->calls.size(); at-- > 0;) {
    const ScheduledCall& call = schedule->calls[at];
    if (!is_concat(call)) continue;
    Concatenation concatenation(schedule, &instead, call);
    std::vector<size_t> left;
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      if (!concatenation.place(i)) left.push_back(i);
    }
    if (left.size() == call.inputs.size()) continue;
    replaced[at] = true;
    for (const size_t i : left) {
      if (element_count(call.inputs[i].type.dims) == 0) continue;
      instead[at].push_back(copy_call(plan, call.inputs[i], concatenation.part(i)));
    }
  }
  replace_calls(&schedule->calls, replaced, &instead);
}

}  // namespace graphopt
