// stream_copy against memcmp: every size around the vector widths, every alignment, threads in any order.
#include <cstring>

#include "check.h"

namespace {

constexpr unsigned char kGuard = 0xa5;

std::vector<unsigned char> pattern(int64_t size) {
  std::vector<unsigned char> data(static_cast<size_t>(size));
  uint32_t state = 12345;
  for (unsigned char& byte : data) byte = static_cast<unsigned char>((state = state * 1664525u + 1013904223u) >> 24);
  return data;
}

void copies(int32_t isa, int64_t size, int64_t offset, const gk_parallel* parallel) {
  const std::string context = std::string(gk_isa_name(isa)) + " size " + std::to_string(size);
  std::vector<unsigned char> from = pattern(size + offset);
  std::vector<unsigned char> to(static_cast<size_t>(size) + 2, kGuard);
  Call call;
  call.inputs = {vector_of(from.data() + offset, kU8, &size)};
  call.outputs = {vector_of(to.data() + 1, kU8, &size)};
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  CHECK_WITH(gk_run_kernel("stream_copy", call.get()) == GK_OK, context);
  CHECK_WITH(size == 0 || std::memcmp(to.data() + 1, from.data() + offset, static_cast<size_t>(size)) == 0, context);
  CHECK_WITH(to.front() == kGuard && to.back() == kGuard, context);
}

}  // namespace

void test_stream_copy() {
  for (const int32_t isa : supported_levels()) {
    for (int64_t size : {0, 1, 7, 8, 15, 16, 63, 64, 65, 127, 128, 511, 512, 513, 1025, 4097}) {
      for (int64_t offset : {0, 1, 8, 63}) copies(isa, size, offset, nullptr);
    }
    ReversedPool pool;
    copies(isa, 300'001, 3, &pool.raw);
    CHECK(pool.calls > 1);
  }
  int64_t size = 1 << 20;
  std::vector<unsigned char> from(static_cast<size_t>(size)), to(from);
  Call call;
  call.inputs = {vector_of(from.data(), kU8, &size)};
  call.outputs = {vector_of(to.data(), kU8, &size)};
  const gk_parallel failing = failing_pool();
  call.raw.parallel = &failing;
  CHECK(gk_run_kernel("stream_copy", call.get()) == GK_CANCELLED);
}
