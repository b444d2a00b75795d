// The tensors a caller hands to a plan: checked, inputs made compact, outputs in the caller's memory or in the plan's.
#pragma once

#include <vector>

#include "executor/block.h"
#include "executor/plan.h"

namespace graphopt {

// Everything but the shapes and dtypes that the plan wants. `need_data`: of every input, else of those whose contents
// decide shapes. Throws Failure.
void check_inputs(const Plan& plan, const gk_tensor* inputs, bool need_data);

// Inputs with gaps or on odd addresses, copied: kernels read what is compact and aligned for its dtype.
class CompactInputs {
 public:
  // Of checked inputs; `need_data` as there.
  CompactInputs(const Plan& plan, const gk_tensor* inputs, bool need_data);

  const gk_tensor* data() const { return tensors_.data(); }

 private:
  std::vector<gk_tensor> tensors_;
  std::vector<Block> copies_;
};

// Outputs of one run; memory that was allocated for them goes back unless they are kept.
class Outputs {
 public:
  explicit Outputs(gk_tensor* tensors) : tensors_(tensors) {}
  ~Outputs();

  void add(const Plan& plan, size_t i, const TensorType& type);
  void* data(size_t i) const { return static_cast<char*>(tensors_[i].data) + tensors_[i].byte_offset; }
  void keep() { allocated_.clear(); }

 private:
  gk_tensor* tensors_;
  std::vector<size_t> allocated_;
};

// Memory of an output that add() allocated.
void release_output(gk_tensor* tensor);

// Throws Failure where an output shares memory with an input or another output.
void check_overlap(const Plan& plan, const gk_tensor* inputs, const gk_tensor* outputs);

}  // namespace graphopt
