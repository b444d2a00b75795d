#include "executor/feeds.h"

#include "executor/failure.h"

namespace graphopt {
namespace {

// Contents that decide shapes are few.
constexpr int64_t kMostShapeBytes = 1 << 16;

std::string expected(const PlanData& plan, const PlanValue& value) {
  std::string text = dtype_name(value.dtype);
  if (!value.has_rank) return text;
  text += '[';
  for (int i = 0; i < value.dims.rank; ++i) {
    const int64_t dim = value.dims[i];
    if (i > 0) text += ',';
    text += dim >= 0 ? std::to_string(dim) : dim == -1 ? "?" : plan.symbols[static_cast<size_t>(-2 - dim)];
  }
  return text + ']';
}

std::string given(const gk_tensor& tensor) {
  Dims dims;
  dims.rank = tensor.ndim <= kMaxRank ? tensor.ndim : kMaxRank;
  for (int i = 0; i < dims.rank; ++i) dims[i] = tensor.shape[i];
  std::string text = dtype_name(tensor.dtype);
  return text += tensor.ndim <= kMaxRank ? text_of(dims) : std::string(" of rank ").append(std::to_string(tensor.ndim));
}

bool fits(const PlanValue& value, const gk_tensor& tensor, std::vector<int64_t>* sizes) {
  if (tensor.dtype.code != value.dtype.code || tensor.dtype.bits != value.dtype.bits || tensor.dtype.lanes != 1) {
    return false;
  }
  if (tensor.ndim < 0 || tensor.ndim > kMaxRank || (value.has_rank && tensor.ndim != value.dims.rank)) return false;
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] < 0) return false;
    if (!value.has_rank || value.dims[i] == -1) continue;
    if (value.dims[i] >= 0) {
      if (tensor.shape[i] != value.dims[i]) return false;
      continue;
    }
    int64_t& size = (*sizes)[static_cast<size_t>(-2 - value.dims[i])];
    if (size < 0) size = tensor.shape[i];
    if (size != tensor.shape[i]) return false;
  }
  return true;
}

}  // namespace

std::string dtype_name(gk_dtype dtype) {
  const std::string bits = std::to_string(dtype.bits);
  switch (dtype.code) {
    case GK_INT: return "int" + bits;
    case GK_UINT: return "uint" + bits;
    case GK_FLOAT: return "float" + bits;
    case GK_BFLOAT: return "bfloat" + bits;
    case GK_BOOL: return "bool";
    default: return "dtype " + std::to_string(dtype.code) + "/" + bits;
  }
}

void check_feeds(const PlanData& plan, const gk_tensor* inputs) {
  std::vector<int64_t> sizes(plan.symbols.size(), -1);
  for (size_t i = 0; i < plan.program.inputs.size(); ++i) {
    const PlanValue& value = plan.values[plan.program.inputs[i]];
    if (fits(value, inputs[i], &sizes)) continue;
    std::string text = "input " + quoted(value.name) + " is " + given(inputs[i]) + ", not " + expected(plan, value);
    for (size_t symbol = 0; symbol < sizes.size(); ++symbol) {
      if (sizes[symbol] >= 0) text += (" with " + plan.symbols[symbol] + " = ").append(std::to_string(sizes[symbol]));
    }
    refuse(text);
  }
}

void feed_key(const PlanData& plan, const gk_tensor* inputs, std::string* key) {
  key->clear();
  for (size_t i = 0; i < plan.program.inputs.size(); ++i) {
    const gk_tensor& tensor = inputs[i];
    key->append(reinterpret_cast<const char*>(&tensor.ndim), sizeof tensor.ndim);
    key->append(reinterpret_cast<const char*>(&tensor.dtype), sizeof tensor.dtype);
    int64_t bytes = tensor.dtype.bits / 8;
    for (int d = 0; d < tensor.ndim; ++d) {
      key->append(reinterpret_cast<const char*>(&tensor.shape[d]), sizeof(int64_t));
      if (__builtin_mul_overflow(bytes, tensor.shape[d], &bytes) || bytes < 0) refuse("an input is too large");
    }
    const PlanValue& value = plan.values[plan.program.inputs[i]];
    if (value.kind != ValueKind::kShapeInput) continue;
    if (bytes > kMostShapeBytes) {
      refuse("input " + quoted(value.name) + " decides shapes and has " + std::to_string(bytes) + " bytes");
    }
    key->append(static_cast<const char*>(tensor.data) + tensor.byte_offset, static_cast<size_t>(bytes));
  }
}

}  // namespace graphopt
