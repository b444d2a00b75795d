// The C ABI: versions, status texts, calls that are malformed in every way a caller can get wrong.
#include "check.h"

extern "C" int call_from_c(void);

namespace {

void versions_and_texts() {
  CHECK(gk_abi_version() == GK_ABI_VERSION);
  CHECK(std::string(gk_version()).find('.') != std::string::npos);
  const std::string unknown = gk_status_text(-1);
  for (int status = GK_OK; status <= GK_SYSTEM_ERROR; ++status) {
    CHECK_WITH(gk_status_text(status) != unknown, std::to_string(status));
  }
  CHECK(gk_status_text(GK_SYSTEM_ERROR + 1) == unknown);
}

// A call of stream_copy that is right; each case below breaks one thing.
struct CopyCall : Call {
  unsigned char from[24] = {}, to[24] = {};
  int64_t shape[2] = {2, 12};
  int64_t strides[2] = {12, 1};

  CopyCall() {
    const gk_tensor tensor = {from, {GK_CPU, 0}, 2, kU8, shape, strides, 0};
    inputs = {tensor};
    outputs = {tensor};
    outputs[0].data = to;
  }
};

void malformed_calls() {
  struct Case {
    const char* what;
    std::function<void(CopyCall&)> spoil;
  };
  const Case cases[] = {
      {"wrong ABI version", [](CopyCall& c) { c.raw.abi_version = GK_ABI_VERSION + 1; }},
      {"short struct", [](CopyCall& c) { c.raw.struct_size = sizeof(gk_call) - 1; }},
      {"no input", [](CopyCall& c) { c.raw.input_count = 0; }},
      {"too many outputs", [](CopyCall& c) { c.raw.output_count = 2; }},
      {"null inputs", [](CopyCall& c) { c.raw.inputs = nullptr; }},
      {"null outputs", [](CopyCall& c) { c.raw.outputs = nullptr; }},
      {"null attributes", [](CopyCall& c) { c.raw.attribute_count = 1, c.raw.attributes = nullptr; }},
      {"null data", [](CopyCall& c) { c.inputs[0].data = nullptr; }},
      {"null shape", [](CopyCall& c) { c.inputs[0].shape = nullptr; }},
      {"negative rank", [](CopyCall& c) { c.inputs[0].ndim = -1; }},
      {"negative dim", [](CopyCall& c) { c.shape[0] = -2; }},
      {"product of dims overflows", [](CopyCall& c) { c.shape[0] = c.shape[1] = int64_t{1} << 40; }},
      {"product with a dim of one byte overflows", [](CopyCall& c) { c.shape[0] = INT64_MAX; }},
      {"not compact", [](CopyCall& c) { c.strides[0] = 13; }},
      {"not row-major", [](CopyCall& c) { c.strides[0] = 1, c.strides[1] = 2; }},
      {"half a byte", [](CopyCall& c) { c.inputs[0].dtype.bits = 4; }},
      {"two lanes", [](CopyCall& c) { c.inputs[0].dtype.lanes = 2; }},
      {"on a GPU", [](CopyCall& c) { c.inputs[0].device.device_type = GK_CUDA; }},
      {"sizes differ", [](CopyCall& c) { c.outputs[0].ndim = 1; }},
      {"repeat of zero", [](CopyCall& c) { c.set("repeat", 0), c.get(); }},
  };
  for (const Case& test : cases) {
    CopyCall call;
    call.get();
    test.spoil(call);
    CHECK_WITH(gk_run_kernel("stream_copy", &call.raw) == GK_INVALID_ARGUMENT, test.what);
  }
  CHECK(gk_run_kernel("stream_copy", nullptr) == GK_INVALID_ARGUMENT);
  CopyCall call;
  CHECK(gk_run_kernel("stream_copy", call.get()) == GK_OK);
}

void layouts_that_are_compact() {
  CopyCall call;
  call.shape[0] = 1;
  call.strides[0] = 999;  // of a dim of one: never used
  CHECK(gk_run_kernel("stream_copy", call.get()) == GK_OK);
  call.shape[0] = 0;
  call.inputs[0].data = call.outputs[0].data = nullptr;  // nothing to point at
  CHECK(gk_run_kernel("stream_copy", call.get()) == GK_OK);
}

void byte_offset_is_added() {
  CopyCall call;
  for (int i = 0; i < 24; ++i) call.from[i] = static_cast<unsigned char>(i + 1);
  call.shape[0] = 1;
  call.inputs[0].byte_offset = 5;
  call.outputs[0].byte_offset = 2;
  CHECK(gk_run_kernel("stream_copy", call.get()) == GK_OK);
  CHECK(call.to[1] == 0 && call.to[2] == 6 && call.to[13] == 17 && call.to[14] == 0);
}

}  // namespace

void test_abi() {
  versions_and_texts();
  malformed_calls();
  layouts_that_are_compact();
  byte_offset_is_added();
  CHECK(call_from_c() == 1);
}
