// stream_read against a scalar fold, and the protocol of asking for workspace.
#include "check.h"

namespace {

uint64_t oracle(const std::vector<unsigned char>& data) {
  uint64_t folded = 0;
  for (size_t i = 0; i < data.size(); ++i) folded ^= static_cast<uint64_t>(data[i]) << (8 * (i % 8));
  return folded;
}

struct ReadCall : Call {
  std::vector<unsigned char> data;
  int64_t size;
  uint64_t result = 0;
  std::vector<uint64_t> scratch = std::vector<uint64_t>(64);

  explicit ReadCall(int64_t bytes) : data(static_cast<size_t>(bytes) + 1), size(bytes) {
    uint32_t state = static_cast<uint32_t>(bytes) + 1;
    data.pop_back();
    for (unsigned char& byte : data) byte = static_cast<unsigned char>((state = state * 1664525u + 1013904223u) >> 24);
    inputs = {vector_of(data.data(), kU8, &size)};
    outputs = {scalar(&result, kU64)};
    raw.workspace = {scratch.data(), scratch.size() * sizeof(uint64_t)};
  }
};

void folds() {
  for (const int32_t isa : supported_levels()) {
    for (const int64_t size : {0, 1, 7, 8, 9, 63, 64, 127, 128, 511, 512, 520, 1031, 200'003}) {
      for (const int64_t repeat : {1, 2, 3}) {
        const std::string context = std::string(gk_isa_name(isa)) + " size " + std::to_string(size);
        ReadCall serial(size), parallel(size);
        ReversedPool pool;
        parallel.raw.parallel = &pool.raw;
        for (ReadCall* call : {&serial, &parallel}) {
          call->raw.isa = isa;
          call->set("repeat", repeat);
          CHECK_WITH(gk_run_kernel("stream_read", call->get()) == GK_OK, context);
          CHECK_WITH(call->result == oracle(call->data), context);
        }
        CHECK_WITH(size < 100'000 || pool.calls > 1, context);
      }
    }
  }
}

void workspace_is_asked_for() {
  ReadCall call(100);
  ReversedPool pool;
  gk_prepared prepared = {};
  call.raw.parallel = &pool.raw;
  call.raw.workspace = {nullptr, 0};
  call.raw.prepared = &prepared;
  call.raw.phase = GK_PREPARE;
  CHECK(gk_run_kernel("stream_read", call.get()) == GK_OK);
  const size_t needed = prepared.workspace_bytes;
  CHECK(needed == 3 * GK_ALIGNMENT && prepared.packed_bytes == 0 && call.result == 0);
  call.raw.phase = GK_RUN;
  CHECK(gk_run_kernel("stream_read", call.get()) == GK_WORKSPACE_TOO_SMALL);
  call.raw.workspace = {call.scratch.data(), needed - 1};
  CHECK(gk_run_kernel("stream_read", call.get()) == GK_WORKSPACE_TOO_SMALL);
  call.raw.workspace.size = needed;
  CHECK(gk_run_kernel("stream_read", call.get()) == GK_OK && call.result == oracle(call.data));
}

void a_pool_that_fails_is_reported() {
  ReadCall call(1 << 20);
  const gk_parallel failing = failing_pool();
  call.raw.parallel = &failing;
  CHECK(gk_run_kernel("stream_read", call.get()) == GK_CANCELLED);
}

}  // namespace

void test_stream_read() {
  folds();
  workspace_is_asked_for();
  a_pool_that_fails_is_reported();
}
