#include "executor/plan_reader.h"

#include <algorithm>
#include <bit>
#include <set>

#include "executor/byte_reader.h"

namespace graphopt {
namespace {

constexpr uint32_t kOldest = 1, kNewest = 2; // format versions; 2 has dims of outputs
constexpr uint8_t kDeclared = 4; // kind in the file: an intermediate value with dims
constexpr int kMaxDepth = 16; // of `if` inside `if`
constexpr uint32_t kArchAny = 0, kArchX86 = 1, kArchArm = 2;

#if defined(__x86_64__)
constexpr uint32_t kArchHere = kArchX86;
#elif defined(__aarch64__)
constexpr uint32_t kArchHere = kArchArm;
#endif

bool is_known(gk_dtype dtype) {
  switch (dtype.code) {
    case GK_INT:
    case GK_UINT: return dtype.bits == 8 || dtype.bits == 16 || dtype.bits == 32 || dtype.bits == 64;
    case GK_FLOAT: return dtype.bits == 16 || dtype.bits == 32 || dtype.bits == 64;
    case GK_BFLOAT: return dtype.bits == 16;
    case GK_BOOL: return dtype.bits == 8;
    default: return false;
  }
}

// The level to run on.
int32_t level_for(uint32_t arch, uint32_t plan_isa, int32_t wanted) {
  const std::string fix = "; compile the model again for this machine";
  if (arch != kArchAny && arch != kArchHere) {
    const char* name = arch == kArchX86 ? "x86-64" : arch == kArchArm ? "aarch64" : "an unknown architecture";
    throw Failure(GK_UNSUPPORTED_ISA, std::string("the plan was compiled for ") + name + fix);
  }
  if (plan_isa >= GK_ISA_COUNT) refuse("the plan is damaged: it names instruction set " + std::to_string(plan_isa));
  const auto level = static_cast<int32_t>(plan_isa);
  if (level != GK_ISA_BEST && !gk_isa_supported(level)) {
    throw Failure(GK_UNSUPPORTED_ISA, "the plan was compiled for " + quoted(gk_isa_name(level)) +
                                          ", which this machine does not have" + fix);
  }
  if (wanted == GK_ISA_BEST) return level == GK_ISA_BEST ? gk_isa_best() : level;
  if (level != GK_ISA_BEST && wanted != level) {
    throw Failure(GK_UNSUPPORTED_ISA, "the plan was compiled for " + quoted(gk_isa_name(level)) + " only");
  }
  if (!gk_isa_supported(wanted)) {
    const char* name = gk_isa_name(wanted);
    throw Failure(GK_UNSUPPORTED_ISA, "this machine does not have the instruction set " +
                                          (name == nullptr ? std::to_string(wanted) : quoted(name)));
  }
  return wanted;
}

class Reader {
 public:
  Reader(const PlanBytes& bytes, const gk_allocator* allocator, PlanData* plan)
      : reader_(bytes.data, bytes.size), weights_(bytes.weights), weights_size_(bytes.weights_size),
        allocator_(allocator), plan_(*plan) {}

  void read(int32_t isa) {
    if (reader_.left() < 8 || std::memcmp(reader_.bytes(8), "GOPTPLAN", 8) != 0) {
      refuse("this is no plan: it does not begin with GOPTPLAN");
    }
    const auto version = reader_.number<uint32_t>();
    if (version < kOldest || version > kNewest) {
      refuse("the plan has format version " + std::to_string(version) + ", this library reads " +
             std::to_string(kOldest) + " to " + std::to_string(kNewest) + "; compile the model again");
    }
    const auto arch = reader_.number<uint32_t>(), plan_isa = reader_.number<uint32_t>();
    if (reader_.number<uint32_t>() != 0) refuse("the plan is damaged: a reserved field is not zero");
    plan_.isa = level_for(arch, plan_isa, isa);
    if (gk_find_kernel("copy", plan_.isa, &plan_.copy) != GK_OK) plan_.copy = nullptr;
    const uint32_t values = reader_.count(8);
    plan_.values.resize(values);
    for (PlanValue& value : plan_.values) read_value(&value);
    plan_.symbols.resize(reader_.count(4));
    for (std::string& symbol : plan_.symbols) symbol = reader_.name();
    check_symbols();
    defined_.resize(values);
    for (size_t i = 0; i < values; ++i) defined_[i] = plan_.values[i].kind == ValueKind::kConstant;
    read_program(&plan_.program, 0);
    if (reader_.left() != 0) refuse("the plan is damaged: bytes follow its end");
  }

 private:
  void read_value(PlanValue* value) {
    value->name = reader_.name();
    const auto code = reader_.number<uint8_t>(), bits = reader_.number<uint8_t>();
    value->dtype = {code, bits, 1};
    const auto kind = reader_.number<uint8_t>();
    const std::string what = "value " + quoted(value->name);
    if (kind > kDeclared) refuse("the plan is damaged: " + what + " has kind " + std::to_string(kind));
    value->kind = kind == kDeclared ? ValueKind::kIntermediate : static_cast<ValueKind>(kind);
    if (reader_.number<uint8_t>() != 0) refuse("the plan is damaged: a reserved field is not zero");
    if (!is_known(value->dtype)) refuse(what + " has a dtype that plans do not have");
    if (kind == 0) return;
    const auto rank = reader_.number<int32_t>();
    const bool constant = value->kind == ValueKind::kConstant;
    if (rank < (constant ? 0 : -1) || rank > kMaxRank) {
      refuse(what + " has rank " + std::to_string(rank) + "; at most " + std::to_string(kMaxRank) + " is possible");
    }
    value->has_rank = rank >= 0;
    value->dims.rank = std::max(rank, 0);
    for (int i = 0; i < rank; ++i) value->dims[i] = reader_.number<int64_t>();
    if (constant) read_contents(value, what);
  }

  void read_contents(PlanValue* value, const std::string& what) {
    const auto where = reader_.number<uint8_t>();
    uint64_t length = 0;
    const char* data = nullptr;
    if (where == 0) {
      length = reader_.number<uint64_t>();
      data = reader_.bytes(length);
    } else if (where == 1) {
      const auto offset = reader_.number<uint64_t>();
      length = reader_.number<uint64_t>();
      if (weights_ == nullptr) refuse(what + " lies in weights.bin, which is missing");
      if (offset > weights_size_ || length > weights_size_ - offset) {
        refuse(what + " reaches past the end of weights.bin: the file is damaged or another model's");
      }
      data = weights_ + offset;
    } else {
      refuse("the plan is damaged: " + what + " lies nowhere");
    }
    const int64_t count = element_count(value->dims);
    const uint64_t size = value->dtype.bits / 8;
    if (count < 0 || length % size != 0 || length / size != static_cast<uint64_t>(count)) {
      refuse(what + " of shape " + text_of(value->dims) + " has " + std::to_string(length) + " bytes");
    }
    if (reinterpret_cast<uintptr_t>(data) % size != 0) {
      plan_.constants.emplace_back(length, allocator_);
      std::memcpy(plan_.constants.back().data(), data, length);
      data = plan_.constants.back().data();
    }
    value->data = data;
  }

  void check_symbols() {
    for (const PlanValue& value : plan_.values) {
      if (value.kind == ValueKind::kConstant) continue;
      for (int i = 0; i < value.dims.rank; ++i) {
        const int64_t dim = value.dims[i];
        if (dim <= -2 && static_cast<uint64_t>(-2 - dim) >= plan_.symbols.size()) {
          refuse("the plan is damaged: value " + quoted(value.name) + " has an unknown symbol");
        }
      }
    }
  }

  uint32_t read_index() {
    const auto index = reader_.number<uint32_t>();
    if (index >= plan_.values.size()) refuse("the plan is damaged: there is no value " + std::to_string(index));
    return index;
  }

  void read_program(Program* program, int depth) {
    if (depth > kMaxDepth) refuse("the plan is damaged: its branches are nested too deeply");
    program->inputs.resize(reader_.count(4));
    for (uint32_t& input : program->inputs) input = read_index();
    program->outputs.resize(reader_.count(4));
    for (uint32_t& output : program->outputs) output = read_index();
    if (depth == 0) define_inputs(*program);
    if (depth > 0 && !program->inputs.empty()) refuse("the plan is damaged: a branch has inputs");
    std::vector<uint32_t> made; // here: a branch's values end with it
    const uint32_t steps = reader_.count(24);
    program->steps.reserve(steps);
    for (uint32_t i = 0; i < steps; ++i) {
      Step& step = program->steps.emplace_back();
      read_step(&step, depth);
      for (const int32_t output : step.outputs) {
        if (output < 0) continue;
        const auto value = static_cast<uint32_t>(output);
        if (plan_.values[value].kind != ValueKind::kIntermediate || defined_[value]) {
          refuse("the plan is damaged: step " + quoted(step.name) + " computes a value a second time");
        }
        defined_[value] = true;
        made.push_back(value);
      }
    }
    for (const uint32_t output : program->outputs) {
      if (!defined_[output]) refuse("the plan is damaged: no step computes " + quoted(plan_.values[output].name));
    }
    if (depth == 0) return;
    for (const uint32_t value : made) defined_[value] = false;
  }

  void define_inputs(const Program& program) {
    std::set<std::string_view> names;
    for (const uint32_t input : program.inputs) {
      const PlanValue& value = plan_.values[input];
      if (value.kind != ValueKind::kInput && value.kind != ValueKind::kShapeInput) {
        refuse("the plan is damaged: input " + quoted(value.name) + " is none");
      }
      if (!names.insert(value.name).second) refuse("the plan is damaged: two inputs " + quoted(value.name));
      defined_[input] = true;
    }
    names.clear();
    for (const uint32_t output : program.outputs) {
      if (!names.insert(plan_.values[output].name).second) {
        refuse("the plan is damaged: two outputs " + quoted(plan_.values[output].name));
      }
    }
  }

  void read_step(Step* step, int depth) {
    step->name = reader_.name();
    step->op = reader_.name();
    const std::string what = "step " + quoted(step->name) + " (" + step->op + ")";
    step->inputs.resize(reader_.count(4));
    for (int32_t& input : step->inputs) {
      input = reader_.number<int32_t>();
      if (input < -1 || (input >= 0 && (static_cast<size_t>(input) >= plan_.values.size() || !defined_[input]))) {
        refuse("the plan is damaged: " + what + " reads a value that is not there yet");
      }
    }
    step->outputs.resize(reader_.count(4));
    for (int32_t& output : step->outputs) {
      output = reader_.number<int32_t>();
      if (output < -1 || (output >= 0 && static_cast<size_t>(output) >= plan_.values.size())) {
        refuse("the plan is damaged: " + what + " computes a value there is not");
      }
    }
    while (!step->inputs.empty() && step->inputs.back() < 0) step->inputs.pop_back();
    while (!step->outputs.empty() && step->outputs.back() < 0) step->outputs.pop_back();
    const size_t begin = reader_.at();
    step->attributes.resize(reader_.count(9));
    for (gk_attribute& attribute : step->attributes) attribute = read_attribute();
    step->attribute_bytes = reader_.since(begin);
    find_code(step, what);
    const uint32_t programs = reader_.count(12);
    const bool branches = step->op == "if";
    if (programs != (branches ? 2u : 0u)) refuse("the plan is damaged: " + what + " has branches");
    step->programs.resize(programs);
    for (Program& program : step->programs) {
      read_program(&program, depth + 1);
      if (program.outputs.size() != step->outputs.size()) {
        refuse("the plan is damaged: a branch of " + what + " has another number of outputs");
      }
    }
  }

  void find_code(Step* step, const std::string& what) {
    step->def = find_op(step->op);
    if (step->def == nullptr) refuse(what + ": this library has no such operator; compile the model again");
    if (step->op == "if" || step->def->view != nullptr) return;
    const int status = gk_find_kernel(step->op.c_str(), plan_.isa, &step->kernel);
    if (status != GK_OK) throw Failure(status, what + ": " + gk_status_text(status));
  }

  char* attribute_memory(size_t size) {
    plan_.attribute_memory.push_back(std::make_unique<char[]>(size));
    return plan_.attribute_memory.back().get();
  }

  const char* copy_text(std::string_view text) {
    char* copy = attribute_memory(text.size() + 1);
    std::copy(text.begin(), text.end(), copy);
    return copy;
  }

  template <class T>
  const T* copy_array(int32_t* length) {
    const uint32_t count = reader_.count(sizeof(T));
    if (count > INT32_MAX) refuse("the plan is damaged: an attribute is too long");
    *length = static_cast<int32_t>(count);
    char* copy = attribute_memory(count * sizeof(T));
    std::memcpy(copy, reader_.bytes(count * sizeof(T)), count * sizeof(T));
    return reinterpret_cast<const T*>(copy);
  }

  gk_attribute read_attribute() {
    gk_attribute attribute = {copy_text(reader_.name()), reader_.number<uint8_t>(), 1, {0}};
    switch (attribute.kind) {
      case GK_ATTRIBUTE_INT: attribute.value.i = reader_.number<int64_t>(); break;
      case GK_ATTRIBUTE_FLOAT: attribute.value.f = reader_.number<double>(); break;
      case GK_ATTRIBUTE_STRING: {
        const std::string text = reader_.name();
        attribute.length = static_cast<int32_t>(text.size());
        attribute.value.s = copy_text(text);
        break;
      }
      case GK_ATTRIBUTE_INTS: attribute.value.ints = copy_array<int64_t>(&attribute.length); break;
      case GK_ATTRIBUTE_FLOATS: attribute.value.floats = copy_array<double>(&attribute.length); break;
      default: refuse("the plan is damaged: attribute " + quoted(attribute.name) + " has an unknown kind");
    }
    return attribute;
  }

  ByteReader reader_;
  const char* weights_;
  size_t weights_size_;
  const gk_allocator* allocator_;
  PlanData& plan_;
  std::vector<bool> defined_;
};

}  // namespace

void read_plan(const PlanBytes& bytes, int32_t isa, const gk_allocator* allocator, PlanData* plan) {
  Reader(bytes, allocator, plan).read(isa);
}

}  // namespace graphopt
