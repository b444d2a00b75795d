#include "executor/call_tensors.h"

#include <algorithm>

#include "executor/failure.h"
#include "executor/feeds.h"
#include "executor/folding.h"

namespace graphopt {
namespace {

static_assert(GK_MAX_RANK == kMaxRank);

// -1 where a dim is negative or the product does not fit, that of an empty tensor's other dims included.
int64_t bytes_of(const gk_tensor& tensor) {
  int64_t bytes = tensor.dtype.bits / 8;
  bool empty = false;
  for (int i = 0; i < tensor.ndim; ++i) {
    const int64_t dim = tensor.shape[i];
    if (dim < 0 || __builtin_mul_overflow(bytes, std::max<int64_t>(dim, 1), &bytes)) return -1;
    empty = empty || dim == 0;
  }
  return empty ? 0 : bytes;
}

Dims dims_of(const int64_t* numbers, int rank) {
  Dims dims;
  dims.rank = rank;
  std::copy_n(numbers, rank, dims.at);
  return dims;
}

void check_tensor(const std::string& what, const gk_tensor& tensor, bool needs_data) {
  if (tensor.device.device_type != GK_CPU) refuse(what + " is not in the CPU's memory");
  if (tensor.dtype.bits == 0 || tensor.dtype.bits % 8 != 0 || tensor.dtype.lanes != 1) {
    refuse(what + " has a dtype that plans do not have");
  }
  if (tensor.ndim < 0 || tensor.ndim > kMaxRank) {
    refuse(what + " has " + std::to_string(tensor.ndim) + " dims; at most " + std::to_string(kMaxRank) +
           " are possible");
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) refuse(what + " has no shape");
  const int64_t bytes = bytes_of(tensor);
  if (bytes < 0) refuse(what + " of shape " + text_of(dims_of(tensor.shape, tensor.ndim)) + " is too large");
  if (needs_data && tensor.data == nullptr && bytes > 0) refuse(what + " has no data");
}

bool needs_data(const Plan& plan, size_t input, bool all) {
  return all || plan.input(input).kind == ValueKind::kShapeInput;
}

char* start_of(const gk_tensor& tensor) {
  return tensor.data == nullptr ? nullptr : static_cast<char*>(tensor.data) + tensor.byte_offset;
}

// In front of the data of an output that the plan allocated.
struct OutputHeader {
  int64_t shape[kMaxRank];
  size_t size; // of header and data
  gk_allocator from; // without functions: the C library's
};
constexpr size_t kHeaderBytes = (sizeof(OutputHeader) + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT;

const gk_allocator* given(const gk_allocator& from) { return from.allocate == nullptr ? nullptr : &from; }

void allocate(const TensorType& type, const gk_allocator* from, gk_tensor* tensor) {
  const size_t size = kHeaderBytes + static_cast<size_t>(element_count(type.dims) * element_bytes(type.dtype));
  auto* header = static_cast<OutputHeader*>(allocate_aligned(size, from));
  std::copy_n(type.dims.at, type.dims.rank, header->shape);
  header->size = size;
  header->from = from == nullptr ? gk_allocator{} : *from;
  *tensor = {reinterpret_cast<char*>(header) + kHeaderBytes, {GK_CPU, 0}, type.dims.rank, type.dtype, header->shape,
             nullptr, 0};
}

void check_output(const Plan& plan, size_t i, const TensorType& type, const gk_tensor& tensor) {
  const std::string what = "output " + quoted(plan.output(i).name);
  check_tensor(what, tensor, true);
  const Dims dims = dims_of(tensor.shape, tensor.ndim);
  if (tensor.dtype.code != type.dtype.code || tensor.dtype.bits != type.dtype.bits || dims.rank != type.dims.rank ||
      !std::equal(dims.at, dims.at + dims.rank, type.dims.at)) {
    refuse(what + " is " + dtype_name(type.dtype) + text_of(type.dims) + ", but there is memory for " +
           dtype_name(tensor.dtype) + text_of(dims));
  }
  if (tensor.strides != nullptr && !is_compact(dims, dims_of(tensor.strides, tensor.ndim))) {
    refuse(what + " has memory with gaps");
  }
  if (reinterpret_cast<uintptr_t>(start_of(tensor)) % static_cast<uintptr_t>(element_bytes(type.dtype)) != 0) {
    refuse(what + " has memory at an odd address");
  }
}

bool overlap(const gk_tensor& a, const gk_tensor& b) {
  const int64_t a_bytes = bytes_of(a), b_bytes = bytes_of(b);
  if (a_bytes == 0 || b_bytes == 0) return false;
  return start_of(a) < start_of(b) + b_bytes && start_of(b) < start_of(a) + a_bytes;
}

}  // namespace

void check_inputs(const Plan& plan, const gk_tensor* inputs, bool need_data) {
  if (inputs == nullptr && plan.input_count() > 0) refuse("there are no inputs");
  for (size_t i = 0; i < plan.input_count(); ++i) {
    check_tensor("input " + quoted(plan.input(i).name), inputs[i], needs_data(plan, i, need_data));
  }
}

CompactInputs::CompactInputs(const Plan& plan, const gk_tensor* inputs, bool need_data)
    : tensors_(inputs, inputs + plan.input_count()) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    gk_tensor& tensor = tensors_[i];
    const Dims dims = dims_of(tensor.shape, tensor.ndim);
    const Dims strides = tensor.strides == nullptr ? compact_strides(dims) : dims_of(tensor.strides, tensor.ndim);
    const int64_t element = element_bytes(tensor.dtype);
    char* start = start_of(tensor);
    const bool aligned = reinterpret_cast<uintptr_t>(start) % static_cast<uintptr_t>(element) == 0;
    tensor.strides = nullptr;
    tensor.byte_offset = 0;
    tensor.data = start;
    if ((aligned && is_compact(dims, strides)) || start == nullptr || !needs_data(plan, i, need_data)) continue;
    // Of another dtype or shape there may be less than a copy reads.
    if (copies_.empty()) check_feeds(plan.data(), inputs);
    const auto bytes = static_cast<uint64_t>(bytes_of(tensor));
    plan.check_limit(bytes);
    const Block& copy = copies_.emplace_back(bytes, plan.allocator());
    copy_strided(start, dims, strides, element, copy.data());
    tensor.data = copy.data();
  }
}

Outputs::~Outputs() {
  for (const size_t i : allocated_) release_output(&tensors_[i]);
}

void Outputs::add(const Plan& plan, size_t i, const TensorType& type) {
  if (tensors_[i].data != nullptr) {
    check_output(plan, i, type, tensors_[i]);
    return;
  }
  plan.check_limit(static_cast<uint64_t>(element_count(type.dims) * element_bytes(type.dtype)));
  allocated_.reserve(plan.output_count()); // nothing is allocated that could not be remembered
  allocate(type, plan.allocator(), &tensors_[i]);
  allocated_.push_back(i);
}

void release_output(gk_tensor* tensor) {
  auto* header = reinterpret_cast<OutputHeader*>(static_cast<char*>(tensor->data) - kHeaderBytes);
  const OutputHeader found = *header;
  release_aligned(header, found.size, given(found.from));
  tensor->data = nullptr;
  tensor->shape = nullptr;
}

void check_overlap(const Plan& plan, const gk_tensor* inputs, const gk_tensor* outputs) {
  for (size_t i = 0; i < plan.output_count(); ++i) {
    const std::string_view name = plan.output(i).name;
    for (size_t j = 0; j < plan.input_count(); ++j) {
      if (overlap(outputs[i], inputs[j])) {
        refuse("output " + quoted(name) + " overlaps input " + quoted(plan.input(j).name));
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (overlap(outputs[i], outputs[j])) {
        refuse("output " + quoted(name) + " overlaps output " + quoted(plan.output(j).name));
      }
    }
  }
}

}  // namespace graphopt
