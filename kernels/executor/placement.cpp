#include "executor/placement.h"

#include <algorithm>

#include "executor/arena.h"
#include "executor/call_list.h"
#include "executor/concat_in_place.h"

namespace graphopt {
namespace {

template <class Visit>
void each_ref(std::vector<ScheduledCall>& calls, Visit visit) {
  for (size_t at = 0; at < calls.size(); ++at) {
    for (const Ref& ref : calls[at].inputs) {
      if (ref.present()) visit(ref, static_cast<int>(at), false);
    }
    for (const Ref& ref : calls[at].outputs) {
      if (ref.present()) visit(ref, static_cast<int>(at), true);
    }
  }
}

void drop_unneeded_calls(Schedule& schedule) {
  std::vector<ScheduledCall>& calls = schedule.calls;
  std::vector<bool> needed(schedule.storages.size());
  for (const Ref& output : schedule.outputs) needed[static_cast<size_t>(output.storage)] = true;
  std::vector<bool> dropped(calls.size());
  for (size_t at = calls.size(); at-- > 0;) {
    const ScheduledCall& call = calls[at];
    const auto is_needed = [&](const Ref& ref) { return ref.present() && needed[static_cast<size_t>(ref.storage)]; };
    dropped[at] = call.kind == CallKind::kKernel && std::none_of(call.outputs.begin(), call.outputs.end(), is_needed);
    if (dropped[at]) continue;
    for (const Ref& ref : call.inputs) {
      if (ref.present()) needed[static_cast<size_t>(ref.storage)] = true;
    }
  }
  std::vector<std::vector<ScheduledCall>> nothing(calls.size());
  replace_calls(&calls, dropped, &nothing);
}

// A storage that is written as a whole for output `index` of the plan becomes that output; any other output
// is copied at the end.
void bind_outputs(const PlanData& plan, Schedule& schedule) {
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    Ref& output = schedule.outputs[i];
    Storage& storage = schedule.root_of(output);
    if (storage.where == Where::kArena && is_whole(output, schedule)) {
      storage.where = Where::kOutput;
      storage.index = static_cast<int>(i);
      continue;
    }
    Storage own;
    own.where = Where::kOutput;
    own.index = static_cast<int>(i);
    own.bytes = element_count(output.type.dims) * element_bytes(output.type.dtype);
    schedule.storages.push_back(own);
    const Ref target = {static_cast<int>(schedule.storages.size()) - 1, output.type,
                        compact_strides(output.type.dims), 0, true};
    schedule.calls.push_back(copy_call(plan, output, target));
    output = target;
  }
}

void find_lifetimes(Schedule& schedule) {
  for (Storage& storage : schedule.storages) storage.first = storage.last = -1;
  each_ref(schedule.calls, [&](const Ref& ref, int at, bool) {
    Storage& storage = schedule.root_of(ref);
    if (storage.first < 0) storage.first = at;
    storage.last = std::max(storage.last, at);
  });
}

bool same_dims(const Dims& a, const Dims& b) { return a.rank == b.rank && std::equal(a.at, a.at + a.rank, b.at); }

// Output 0 of a call into the memory of an input that ends there.
void share_memory(Schedule& schedule) {
  find_lifetimes(schedule);
  for (size_t at = 0; at < schedule.calls.size(); ++at) {
    const ScheduledCall& call = schedule.calls[at];
    if (call.kind != CallKind::kKernel || call.def == nullptr || call.outputs.empty()) continue;
    const Ref& output = call.outputs[0];
    if (!output.present() || !is_whole(output, schedule)) continue;
    Storage& to = schedule.root_of(output);
    if (to.first != static_cast<int>(at)) continue; // a branch's result is written at two places
    for (size_t i = 0; i < call.inputs.size() && i < 32; ++i) {
      const Ref& input = call.inputs[i];
      if ((call.def->in_place >> i & 1) == 0 || !input.present()) continue;
      Storage& from = schedule.root_of(input);
      if (from.where != Where::kArena || from.last != static_cast<int>(at) || from.bytes != to.bytes) continue;
      if (&from == &to || !is_whole(input, schedule) || !same_dims(input.type.dims, output.type.dims)) continue;
      const auto also_elsewhere = [&](const Ref& other) {
        return &other != &input && other.present() && schedule.root(other.storage) == schedule.root(input.storage);
      };
      if (std::any_of(call.inputs.begin(), call.inputs.end(), also_elsewhere)) continue;
      from.merged = schedule.root(output.storage);
      to.first = from.first;
      break;
    }
  }
}

}  // namespace

void choose_memory(const PlanData& plan, Schedule* schedule) {
  drop_unneeded_calls(*schedule);
  bind_outputs(plan, *schedule);
  concatenate_in_place(plan, schedule);
  share_memory(*schedule);
}

void place(Schedule* schedule) {
  find_lifetimes(*schedule);
  for (size_t at = 0; at < schedule->calls.size(); ++at) {
    const int workspace = schedule->calls[at].workspace;
    if (workspace < 0) continue;
    Storage& storage = schedule->storages[static_cast<size_t>(workspace)];
    storage.first = storage.last = static_cast<int>(at);
  }
  std::vector<Lifetime> lifetimes;
  std::vector<Storage*> storages;
  for (Storage& storage : schedule->storages) {
    if (storage.where != Where::kArena || storage.merged >= 0 || storage.first < 0) continue;
    lifetimes.push_back({static_cast<uint64_t>(storage.bytes), storage.first, storage.last, 0});
    storages.push_back(&storage);
  }
  schedule->arena_bytes = plan_arena(&lifetimes);
  for (size_t i = 0; i < storages.size(); ++i) storages[i]->offset = lifetimes[i].offset;
}

}  // namespace graphopt
