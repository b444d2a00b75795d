// Prints kernels beside the roof over each: the time that the arithmetic at the measured peak or the bytes at the
// measured copy bandwidth would take, whichever is longer.
//
//   graphopt_roofline [--threads N] [--isa NAME] [--only TEXT] [--rounds N] [--json]
//
// Roof and kernel are measured in turns, in pieces of about a millisecond, and the shortest of each counts: what
// disturbs one disturbs the other, and a short piece has a chance to run undisturbed. Bandwidth is measured over as
// many bytes as the case moves. Operations are those of the definition: a Winograd convolution may do with fewer.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "executor/thread_pool.h"
#include "roofline_cases.h"

namespace {

using graphopt::ThreadPool;
using roofline::Case;
using roofline::Tensor;

struct Options {
  int threads = 1, rounds = 20;
  int32_t isa = GK_ISA_BEST;
  std::string only;
  bool json = false;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Memory {
  void* data;
  explicit Memory(size_t bytes) : data(std::aligned_alloc(GK_ALIGNMENT, (bytes / GK_ALIGNMENT + 1) * GK_ALIGNMENT)) {
    if (data == nullptr) std::abort();
    std::memset(data, 0, bytes);
  }
  Memory(Memory&& other) noexcept : data(std::exchange(other.data, nullptr)) {}
  ~Memory() { std::free(data); }
};

// A prepared call and everything it points at.
class Prepared {
 public:
  Prepared(const Case& test, int32_t isa, const gk_parallel* parallel) : test_(test) {
    for (Tensor& tensor : test_.inputs) inputs_.push_back(tensor_of(tensor));
    for (Tensor& tensor : test_.outputs) outputs_.push_back(tensor_of(tensor));
    for (auto& [name, values] : test_.ints) {
      const bool list = std::find(test_.lists.begin(), test_.lists.end(), name) != test_.lists.end();
      gk_attribute attribute = {name.c_str(), list ? GK_ATTRIBUTE_INTS : GK_ATTRIBUTE_INT, 1, {0}};
      if (list) {
        attribute.length = static_cast<int32_t>(values.size());
        attribute.value.ints = values.data();
      } else {
        attribute.value.i = values[0];
      }
      attributes_.push_back(attribute);
    }
    call_.abi_version = GK_ABI_VERSION;
    call_.struct_size = sizeof call_;
    call_.inputs = inputs_.data();
    call_.outputs = outputs_.data();
    call_.attributes = attributes_.data();
    call_.input_count = static_cast<int32_t>(inputs_.size());
    call_.output_count = static_cast<int32_t>(outputs_.size());
    call_.attribute_count = static_cast<int32_t>(attributes_.size());
    call_.isa = isa;
    call_.parallel = parallel;
    call_.prepared = &prepared_;
    for (size_t i = 0; i < test_.inputs.size(); ++i) call_.constant_inputs |= test_.inputs[i].constant ? 1u << i : 0;
  }
  Prepared(const Prepared&) = delete;

  int start() {
    if (const int status = gk_find_kernel(test_.op.c_str(), call_.isa, &kernel_); status != GK_OK) return status;
    call_.phase = GK_PREPARE;
    if (const int status = kernel_(&call_); status != GK_OK) return status;
    memory_.emplace_back(prepared_.workspace_bytes);
    call_.workspace = {memory_.back().data, prepared_.workspace_bytes};
    if (prepared_.packed_bytes > 0) {
      memory_.emplace_back(prepared_.packed_bytes);
      call_.packed = memory_.back().data;
      call_.phase = GK_PACK;
      if (const int status = kernel_(&call_); status != GK_OK) return status;
    }
    call_.phase = GK_RUN;
    return kernel_(&call_);
  }

  void run() const { kernel_(&call_); }

 private:
  gk_tensor tensor_of(Tensor& tensor) {
    if (tensor.dtype.bits == 0) return {nullptr, {GK_CPU, 0}, -1, {GK_FLOAT, 32, 1}, nullptr, nullptr, 0};
    size_t elements = 1;
    for (const int64_t dim : tensor.shape) elements *= static_cast<size_t>(dim);
    memory_.emplace_back(elements * tensor.dtype.bits / 8);
    // Small numbers of both signs: denormals or infinities would measure something else.
    if (tensor.dtype.code == GK_FLOAT) {
      float* values = static_cast<float*>(memory_.back().data);
      for (size_t i = 0; i < elements; ++i) values[i] = static_cast<float>(static_cast<int>(i * 37 % 255) - 127) / 128;
    }
    const auto rank = static_cast<int32_t>(tensor.shape.size());
    int64_t* strides = tensor.strides.empty() ? nullptr : tensor.strides.data();
    return {memory_.back().data, {GK_CPU, 0}, rank, tensor.dtype, tensor.shape.data(), strides, 0};
  }

  Case test_;
  std::vector<Memory> memory_;
  std::vector<gk_tensor> inputs_, outputs_;
  std::vector<gk_attribute> attributes_;
  gk_prepared prepared_ = {};
  gk_call call_ = {};
  gk_kernel kernel_ = nullptr;
};

struct Result {
  int status = GK_OK;
  double seconds = 0, roof_seconds = 0, peak = 0, bandwidth = 0;
};

Result measure(const Case& test, const Options& options, const gk_parallel* parallel) {
  Result result;
  Prepared prepared(test, options.isa, parallel);
  result.status = prepared.start();
  if (result.status != GK_OK) return result;
  double once = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double start = now();
    prepared.run();
    once = std::min(once, now() - start);
  }
  const int repeat = static_cast<int>(std::clamp(1e-3 / std::max(once, 1e-9), 1.0, 1000.0));
  const gk_measure_options piece = {options.threads, 1, 5e-4};
  const gk_dtype dtype = test.int8 ? gk_dtype{GK_INT, 8, 1} : gk_dtype{GK_FLOAT, 32, 1};
  // Per thread; at least a few pages, or the loop around the copy is what is measured.
  const size_t share = static_cast<size_t>(test.bytes) / static_cast<size_t>(options.threads);
  const size_t bytes = std::max<size_t>(share / 128, 128) * 128;
  result.seconds = 1e9;
  for (int round = 0; round < options.rounds; ++round) {
    gk_measurement rate = {};
    if (test.operations > 0 && gk_measure_peak(options.isa, dtype, &piece, &rate) == GK_OK) {
      result.peak = std::max(result.peak, rate.high);
    }
    if (gk_measure_bandwidth(options.isa, "stream_copy", bytes, &piece, &rate) == GK_OK) {
      result.bandwidth = std::max(result.bandwidth, rate.high);
    }
    // The roof was measured in a steady state of the caches: the kernel is brought to its own, too.
    for (int i = 0; i < repeat; ++i) prepared.run();
    const double start = now();
    for (int i = 0; i < repeat; ++i) prepared.run();
    result.seconds = std::min(result.seconds, (now() - start) / repeat);
  }
  result.roof_seconds = test.bytes / result.bandwidth;
  if (result.peak > 0) result.roof_seconds = std::max(result.roof_seconds, test.operations / result.peak);
  return result;
}

void print(const Case& test, const Result& r, const Options& options, bool first) {
  const bool arithmetic = r.peak > 0 && test.operations / r.peak >= test.bytes / r.bandwidth;
  if (options.json) {
    std::printf("%s  {\"op\": \"%s\", \"case\": \"%s\", ", first ? "" : ",\n", test.op.c_str(), test.name.c_str());
    if (r.status != GK_OK) {
      std::printf("\"error\": \"%s\"}", gk_status_text(r.status));
      return;
    }
    std::printf("\"seconds\": %.4g, \"roof_seconds\": %.4g, \"roof\": \"%s\", \"share\": %.4f, \"operations\": %.0f, "
                "\"bytes\": %.0f, \"peak\": %.4g, \"bandwidth\": %.4g}",
                r.seconds, r.roof_seconds, arithmetic ? "peak" : "bandwidth", r.roof_seconds / r.seconds,
                test.operations, test.bytes, r.peak, r.bandwidth);
    return;
  }
  // Multiplication signs are two bytes and one column.
  const int wide = static_cast<int>(std::count(test.name.begin(), test.name.end(), '\xc3'));
  if (r.status != GK_OK) {
    std::printf("%-*s %s\n", 44 + wide, test.name.c_str(), gk_status_text(r.status));
    return;
  }
  std::printf("%-*s %9.1f us  %5.1f %% of %s", 44 + wide, test.name.c_str(), r.seconds * 1e6,
              100 * r.roof_seconds / r.seconds, arithmetic ? "peak" : "bandwidth");
  if (arithmetic) {
    std::printf("  %7.1f of %.1f Gop/s\n", test.operations / r.seconds * 1e-9, r.peak * 1e-9);
  } else {
    std::printf("  %7.1f of %.1f GB/s\n", test.bytes / r.seconds * 1e-9, r.bandwidth * 1e-9);
  }
  std::fflush(stdout);
}

bool read_options(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--json") {
      options->json = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* value = argv[++i];
    if (argument == "--threads") {
      options->threads = std::atoi(value);
    } else if (argument == "--rounds") {
      options->rounds = std::atoi(value);
    } else if (argument == "--only") {
      options->only = value;
    } else if (argument == "--isa") {
      options->isa = gk_isa_from_name(value);
    } else {
      return false;
    }
  }
  if (options->threads < 1 || options->threads > 256 || options->rounds < 1) return false;
  return gk_isa_supported(options->isa) != 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, &options)) {
    std::fprintf(stderr, "roofline [--threads N] [--isa NAME] [--only TEXT] [--rounds N] [--json]\n");
    return 2;
  }
  ThreadPool pool(options.threads);
  ThreadPool::Turn turn(&pool);
  const auto run = [](void* at, int64_t count, int64_t grain, gk_body body, void* context) {
    static_cast<ThreadPool::Turn*>(at)->run(count, grain, body, context);
    return 0;
  };
  const gk_parallel parallel = {&turn, options.threads, run};
  const int32_t isa = options.isa == GK_ISA_BEST ? gk_isa_best() : options.isa;
  if (options.json) {
    std::printf("{\"isa\": \"%s\", \"threads\": %d, \"rounds\": %d, \"cases\": [\n", gk_isa_name(isa), options.threads,
                options.rounds);
  } else {
    std::printf("%s, %d threads, shortest of %d\n", gk_isa_name(isa), options.threads, options.rounds);
  }
  bool first = true;
  for (const Case& test : roofline::cases()) {
    if (test.name.find(options.only) == std::string::npos) continue;
    print(test, measure(test, options, options.threads > 1 ? &parallel : nullptr), options, first);
    first = false;
  }
  if (options.json) std::printf("\n]}\n");
  return 0;
}
