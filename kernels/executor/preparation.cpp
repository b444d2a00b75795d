#include "executor/preparation.h"

#include "executor/failure.h"

namespace graphopt {

uint64_t PackStore::bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [key, pack] : packs_) {
    if (const auto there = pack.lock()) sum += there->size();
  }
  return sum;
}

class Preparation {
 public:
  Preparation(const PlanData& plan, const PreparationOptions& options, PackStore* packs, Schedule* schedule)
      : plan_(plan), options_(options), packs_(*packs), schedule_(*schedule) {
    parallel_ = {nullptr, options.threads, [](void*, int64_t count, int64_t, gk_body body, void* context) {
                   body(context, 0, count, 0);
                   return 0;
                 }};
  }

  void prepare(ScheduledCall* scheduled) {
    fill(*scheduled);
    schedule_.prepared.push_back(std::make_unique<gk_prepared>());
    gk_prepared* prepared = scheduled->prepared = schedule_.prepared.back().get();
    prepared->workspace_bytes = prepared->packed_bytes = prepared->packed_format = 0;
    call_.prepared = prepared;
    ask(*scheduled, GK_PREPARE);
    if (prepared->packed_bytes > 0) pack(scheduled);
    if (prepared->workspace_bytes == 0) return;
    if (prepared->workspace_bytes > uint64_t{1} << 62) {
      throw Failure(GK_SYSTEM_ERROR, name_of(*scheduled) + " asks for more memory than there can be");
    }
    Storage workspace;
    workspace.bytes = static_cast<int64_t>(prepared->workspace_bytes);
    schedule_.storages.push_back(workspace);
    scheduled->workspace = static_cast<int>(schedule_.storages.size()) - 1;
  }

 private:
  void fill(const ScheduledCall& scheduled) {
    inputs_.clear();
    outputs_.clear();
    uint32_t constants = 0;
    for (size_t i = 0; i < scheduled.inputs.size(); ++i) {
      const Ref& ref = scheduled.inputs[i];
      const char* data = nullptr;
      if (ref.present() && schedule_.root_of(ref).where == Where::kFixed) {
        data = schedule_.root_of(ref).data + ref.offset;
        if (i < 32) constants |= uint32_t{1} << i;
      }
      inputs_.push_back(tensor_of(ref, data));
    }
    for (const Ref& ref : scheduled.outputs) outputs_.push_back(tensor_of(ref, nullptr));
    call_ = call_of(scheduled, inputs_.data(), outputs_.data());
    call_.constant_inputs = constants;
    call_.isa = plan_.isa;
    call_.parallel = &parallel_;
  }

  void ask(const ScheduledCall& scheduled, gk_phase phase) {
    call_.phase = phase;
    const int status = scheduled.kernel(&call_);
    if (status == GK_OK) return;
    std::string shapes;
    for (const Ref& ref : scheduled.inputs) {
      shapes += (shapes.empty() ? "" : ", ") + (ref.present() ? text_of(ref.type.dims) : std::string("none"));
    }
    throw Failure(status, name_of(scheduled) + ": " + gk_status_text(status) + "; its inputs are " + shapes);
  }

  void pack(ScheduledCall* scheduled) {
    const std::string key = key_of(*scheduled);
    if (key.empty()) {
      options_.check_limit(scheduled->prepared->packed_bytes);
      schedule_.memory.emplace_back(scheduled->prepared->packed_bytes, schedule_.allocator);
      fill_pack(*scheduled, schedule_.memory.back().data());
      schedule_.memory_bytes += schedule_.memory.back().size();
      scheduled->packed = schedule_.memory.back().data();
      return;
    }
    const std::lock_guard lock(packs_.mutex_);
    const auto found = packs_.packs_.find(key);
    std::shared_ptr<const Piece> pack = found == packs_.packs_.end() ? nullptr : found->second.lock();
    if (pack == nullptr) {
      options_.check_limit(scheduled->prepared->packed_bytes);
      pack = std::make_shared<const Piece>(packs_.cutter_.cut(scheduled->prepared->packed_bytes));
      fill_pack(*scheduled, pack->data());
      std::erase_if(packs_.packs_, [](const auto& one) { return one.second.expired(); });
      packs_.packs_[key] = pack;
    }
    scheduled->packed = pack->data();
    schedule_.packs.push_back(std::move(pack));
  }

  void fill_pack(const ScheduledCall& scheduled, char* data) {
    call_.packed = data;
    ask(scheduled, GK_PACK);
    for (const Ref& ref : scheduled.inputs) {
      if (!options_.release_weights || !ref.present()) continue;
      const Storage& storage = schedule_.root_of(ref);
      if (storage.constant >= 0) release_mapped_pages(storage.data, static_cast<size_t>(storage.bytes));
    }
  }

  // What the packed bytes depend on; empty where that is more than the plan's constants.
  std::string key_of(const ScheduledCall& scheduled) const {
    std::string key = scheduled.step == nullptr ? "" : scheduled.step->op + '\0';
    const auto add = [&key](const auto& number) {
      key.append(reinterpret_cast<const char*>(&number), sizeof number);
    };
    if (scheduled.step != nullptr) key += scheduled.step->attribute_bytes;
    add(scheduled.prepared->packed_format);
    add(scheduled.prepared->packed_bytes);
    for (const Ref& ref : scheduled.inputs) {
      const Storage* storage = ref.present() ? &schedule_.root_of(ref) : nullptr;
      const bool fixed = storage != nullptr && storage->where == Where::kFixed;
      if (fixed && storage->constant < 0) return {};
      add(fixed ? storage->constant : -1);
      if (!fixed) continue;
      add(ref.offset);
      add(ref.type.dims.rank);
      for (int i = 0; i < ref.type.dims.rank; ++i) {
        add(ref.type.dims[i]);
        add(ref.strides[i]);
      }
    }
    return key;
  }

  const PlanData& plan_;
  const PreparationOptions& options_;
  PackStore& packs_;
  Schedule& schedule_;
  gk_parallel parallel_;
  gk_call call_ = {};
  std::vector<gk_tensor> inputs_, outputs_;
};

void prepare(const PlanData& plan, const PreparationOptions& options, PackStore* packs, Schedule* schedule) {
  Preparation preparation(plan, options, packs, schedule);
  for (ScheduledCall& call : schedule->calls) {
    if (call.kind == CallKind::kKernel) preparation.prepare(&call);
  }
}

}  // namespace graphopt
