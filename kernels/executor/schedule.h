// A plan for one set of input shapes: which calls run, in which order, on which memory. Pointers to inputs,
// outputs and the arena come later (lane.h): a schedule is shared by all runs of these shapes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "executor/block.h"
#include "executor/op.h"
#include "executor/plan_data.h"

namespace graphopt {

enum class Where : uint8_t {
  kArena,  // at `offset` of the arena
  kFixed,  // at `data`: a constant, or computed while shapes were resolved
  kInput,  // the caller's, input number `index`
  kOutput, // the caller's, output number `index`
};

// Memory that a step writes or that is there before.
struct Storage {
  Where where = Where::kArena;
  int index = 0;
  const char* data = nullptr;
  int64_t constant = -1;         // kFixed: the plan's value, -1 where it was computed
  int64_t bytes = 0;
  int merged = -1;               // this storage is the storage `merged`
  int first = -1, last = -1;     // position of the first and the last call that uses it
  uint64_t offset = 0;
};

// A tensor in a storage.
struct Ref {
  int storage = -1; // -1: left out
  TensorType type;
  Dims strides;       // elements
  int64_t offset = 0; // bytes
  bool compact = true;

  bool present() const { return storage >= 0; }
};

enum class CallKind : uint8_t {
  kKernel,
  kJumpUnless, // to `target` where the boolean inputs[0] is false
  kJump,       // to `target`
};

struct ScheduledCall {
  CallKind kind = CallKind::kKernel;
  const Step* step = nullptr; // null: a copy of the executor's own
  const OpDef* def = nullptr;
  gk_kernel kernel = nullptr;
  std::vector<Ref> inputs, outputs;
  int target = 0;
  gk_prepared* prepared = nullptr;
  void* packed = nullptr;
  int workspace = -1; // storage
};

struct Schedule {
  const gk_allocator* allocator = nullptr; // of `memory` and of the arena; null: the C library
  std::vector<TensorType> output_types;
  std::vector<Storage> storages;
  std::vector<ScheduledCall> calls;
  std::vector<Ref> outputs;        // of the plan; all of them lie in their own memory once placed
  uint64_t arena_bytes = 0;
  std::vector<std::unique_ptr<gk_prepared>> prepared;
  std::vector<Block> memory;       // what was computed or packed for these shapes only
  std::vector<std::shared_ptr<const Piece>> packs; // shared with other schedules
  uint64_t memory_bytes = 0;       // of `memory`

  int root(int storage) const {
    while (storages[static_cast<size_t>(storage)].merged >= 0) storage = storages[static_cast<size_t>(storage)].merged;
    return storage;
  }
  Storage& root_of(const Ref& ref) { return storages[static_cast<size_t>(root(ref.storage))]; }
  const Storage& root_of(const Ref& ref) const { return storages[static_cast<size_t>(root(ref.storage))]; }
};

inline int64_t element_bytes(gk_dtype dtype) { return dtype.bits / 8; }

// Row-major strides.
Dims compact_strides(const Dims& dims);

// Whether strides are row-major as far as they matter.
bool is_compact(const Dims& dims, const Dims& strides);

// The whole of its storage, row-major.
bool is_whole(const Ref& ref, const Schedule& schedule);

// Whether the kernel of a step reads its input, or writes its output, of that number where it lies.
bool takes(const Step& step, size_t input, const Ref& ref);
bool gives(const Step& step, size_t output, const Ref& ref);

// A gk_tensor over `data`; its shape and strides point into `ref`.
gk_tensor tensor_of(const Ref& ref, const void* data);

// The call of a step over these tensors; its phase, its memory and its threads come later.
gk_call call_of(const ScheduledCall& call, const gk_tensor* inputs, const gk_tensor* outputs);

// "step 'conv_1' (conv)", for messages.
std::string name_of(const ScheduledCall& call);

// Throws what it means that a prepared call did not run.
[[noreturn]] void fail_to_run(const ScheduledCall& call, int status);

}  // namespace graphopt
