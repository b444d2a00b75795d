// Every operator with dims, contents, dtypes and attributes changed at random: each plan of one step is refused with a
// reason, or runs on memory of exactly the declared size.
#include <algorithm>
#include <limits>
#include <memory>
#include <random>

#include "cpu/lib/elementwise/opcodes.h"
#include "executor/op.h"
#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

constexpr gk_dtype kI32 = {GK_INT, 32, 1}, kBool = {GK_BOOL, 8, 1};
constexpr int kRounds = 40; // of each call below

char g_why[512] = ""; // the last refusal

enum class From { kFeed, kShapeFeed, kConstant, kNowhere };

struct Input {
  From from = From::kFeed;
  gk_dtype dtype = kF32;
  std::vector<int64_t> dims;
  std::vector<int64_t> values; // of integers; others are made up
};

struct Attribute {
  std::string name;
  std::vector<int64_t> numbers; // one unless `many`
  std::string text;
  bool many = false;
};

// A call that is right.
struct Case {
  std::string op;
  std::vector<Input> inputs;
  std::vector<gk_dtype> outputs;
  std::vector<Attribute> attributes;
};

Input feed(std::vector<int64_t> dims, gk_dtype dtype = kF32) { return {From::kFeed, dtype, std::move(dims), {}}; }
Input weight(std::vector<int64_t> dims, gk_dtype dtype = kF32) { return {From::kConstant, dtype, std::move(dims), {}}; }
Input numbers(std::vector<int64_t> values, From from = From::kShapeFeed) {
  return {from, kI64, {static_cast<int64_t>(values.size())}, values};
}
Input number(int64_t value, From from = From::kShapeFeed) { return {from, kI64, {}, {value}}; }
Input indices(std::vector<int64_t> dims, std::vector<int64_t> values) { return {From::kFeed, kI64, std::move(dims), std::move(values)}; }
Input none() { return {From::kNowhere, kF32, {}, {}}; }

Attribute one(const char* name, int64_t value) { return {name, {value}, "", false}; }
Attribute many(const char* name, std::vector<int64_t> values) { return {name, std::move(values), "", true}; }
Attribute text(const char* name, const char* value) { return {name, {}, value, false}; }

int64_t opcode(const char* name) {
  for (const graphopt::OpcodeInfo& info : graphopt::kOpcodes) {
    if (std::strcmp(info.name, name) == 0) return info.number;
  }
  return -1;
}

std::vector<Case> cases() {
  const std::vector<gk_dtype> f = {kF32};
  return {
      {"matmul", {feed({2, 3, 5}), weight({5, 4}), weight({4})}, f, {one("trans_a", 0), one("trans_b", 0)}},
      {"matmul", {feed({1, 33}), feed({33, 17})}, f, {}},
      {"matmul_integer", {feed({3, 9}, kU8), weight({9, 4}, kI8), weight({}, kU8), weight({4}, kI8)}, {kI32}, {}},
      {"conv", {feed({1, 5, 6, 4}), weight({6, 2, 3, 3}), weight({6})}, f,
       {many("pads", {1, 1, 1, 1}), many("strides", {1, 2}), many("dilations", {1, 1}), one("group", 2)}},
      {"conv", {feed({2, 6, 7, 8}), weight({8, 1, 3, 3})}, f, {many("pads", {1, 1, 1, 1}), one("group", 8)}},
      {"conv", {feed({1, 9, 3}), weight({4, 3, 3})}, f, {text("auto_pad", "SAME_UPPER")}},
      {"conv", {feed({1, 8, 8, 16}), weight({16, 16, 3, 3})}, f, {many("pads", {1, 1, 1, 1})}},
      {"conv_transpose", {feed({1, 3, 4, 4}), weight({4, 2, 2, 2}), weight({4})}, f,
       {many("strides", {2, 2}), many("pads", {0, 0, 0, 0}), many("output_padding", {0, 0}), one("group", 2)}},
      {"pool", {feed({1, 5, 6, 3})}, f,
       {text("kind", "max"), many("kernel_shape", {2, 2}), many("strides", {1, 2}), many("pads", {0, 1, 0, 1}), one("ceil_mode", 1)}},
      {"pool", {feed({1, 9, 9, 5})}, f, {text("kind", "average"), many("kernel_shape", {5, 5}), many("pads", {2, 2, 2, 2})}},
      {"resize", {feed({1, 3, 4, 2}), none(), none(), numbers({1, 5, 8, 2})}, f, {text("mode", "linear")}},
      {"resize", {feed({1, 3, 4, 2}), none(), none(), numbers({1, 6, 8, 2})}, f, {text("mode", "nearest"), one("antialias", 0)}},
      {"softmax", {feed({3, 5})}, f, {one("axis", 1), one("log", 0)}},
      {"reduce", {feed({3, 4, 5})}, f, {text("kind", "sum"), many("axes", {1}), one("keepdims", 0)}},
      {"arg_reduce", {feed({3, 4, 5})}, {kI64}, {text("kind", "max"), one("axis", 1), one("keepdims", 0)}},
      {"top_k", {feed({3, 6}), numbers({2})}, {kF32, kI64}, {one("axis", 1), one("largest", 1), one("sorted", 1)}},
      {"cumsum", {feed({3, 4}), number(1)}, f, {one("exclusive", 0), one("reverse", 1)}},
      {"layer_norm", {feed({3, 8}), none(), none(), weight({8}), weight({8})}, f, {text("kind", "layer"), one("axis", 1)}},
      {"group_norm", {feed({2, 4, 6}), weight({4}), weight({4})}, f, {one("num_groups", 2), one("channels_last", 0)}},
      {"group_norm", {feed({2, 6, 4}), weight({4}), weight({4})}, f, {one("num_groups", 2), one("channels_last", 1)}},
      {"lrn", {feed({1, 5, 3, 3})}, f, {one("size", 3)}},
      {"attention", {feed({1, 4, 8}), feed({1, 6, 8}), feed({1, 6, 8})}, f,
       {one("q_num_heads", 2), one("kv_num_heads", 2), one("is_causal", 1)}},
      {"rotary_embedding", {feed({1, 2, 4, 8}), weight({1, 4, 4}), weight({1, 4, 4})}, f,
       {one("interleaved", 0), one("num_heads", 2), one("rotary_embedding_dim", 8)}},
      {"lstm", {feed({3, 2, 4}), weight({1, 12, 4}), weight({1, 12, 3}), weight({1, 24})}, {kF32, kF32, kF32},
       {one("hidden_size", 3), one("layout", 0)}},
      {"gru", {feed({3, 2, 4}), weight({1, 9, 4}), weight({1, 9, 3}), weight({1, 18})}, {kF32, kF32},
       {one("hidden_size", 3), one("linear_before_reset", 1)}},
      {"rnn", {feed({3, 2, 4}), weight({1, 3, 4}), weight({1, 3, 3})}, {kF32, kF32}, {one("hidden_size", 3)}},
      {"elementwise", {feed({3, 4}), feed({4})}, f,
       {many("program", {opcode("add"), 1, 2, 0, 1, -1, opcode("tanh"), 1, 3, 2, -1, -1}), many("results", {3})}},
      {"copy", {feed({3, 4})}, f, {}},
      {"concat", {feed({2, 3}), feed({2, 1})}, f, {one("axis", 1)}},
      {"pad", {feed({3, 4}), numbers({1, 0, 2, -1}), feed({})}, f, {text("mode", "constant")}},
      {"pad", {feed({3, 4}), numbers({1, 0, 2, 1})}, f, {text("mode", "reflect")}},
      {"gather", {feed({3, 4}), indices({2}, {1, -3})}, f, {one("axis", 0)}},
      {"gather_elements", {feed({3, 4}), indices({2, 2}, {0, 1, -1, 2})}, f, {one("axis", 1)}},
      {"gather_nd", {feed({3, 4}), indices({2, 2}, {0, 1, 2, -1})}, f, {one("batch_dims", 0)}},
      {"scatter_elements", {feed({3, 4}), indices({2, 2}, {0, 1, 2, 0}), feed({2, 2})}, f, {one("axis", 0), text("reduction", "add")}},
      {"scatter_nd", {feed({3, 4}), indices({2, 1}, {0, -1}), feed({2, 4})}, f, {text("reduction", "none")}},
      {"tile", {feed({3, 4}), numbers({2, 1})}, f, {}},
      {"one_hot", {indices({3}, {0, 2, -1}), number(4), weight({2})}, f, {one("axis", -1)}},
      {"range", {number(1), number(9), number(3)}, {kI64}, {}},
      {"fill", {numbers({2, 3}), weight({1})}, f, {}},
      {"shape", {feed({3, 4})}, {kI64}, {one("start", 0), one("end", 2)}},
      {"size", {feed({3, 4})}, {kI64}, {}},
      {"trilu", {feed({3, 4}), number(1, From::kFeed)}, f, {one("upper", 0)}},
      {"depth_to_space", {feed({1, 8, 2, 3})}, f, {one("blocksize", 2), text("mode", "CRD"), one("channels_last", 0)}},
      {"space_to_depth", {feed({1, 2, 4, 6})}, f, {one("blocksize", 2), one("channels_last", 0)}},
      {"eye_like", {feed({3, 4})}, f, {one("k", 1)}},
      {"reverse_sequence", {feed({4, 2, 3}), indices({2}, {3, 1})}, f, {one("batch_axis", 1), one("time_axis", 0)}},
      {"reshape", {feed({3, 4}), numbers({2, -1})}, f, {one("allowzero", 0)}},
      {"transpose", {feed({3, 4, 2})}, f, {many("perm", {2, 0, 1})}},
      {"slice", {feed({5, 6}), numbers({4, 0}), numbers({0, 9}), numbers({0, 1}), numbers({-2, 2})}, f, {}},
      {"split", {feed({5, 6}), numbers({2, 3})}, {kF32, kF32}, {one("axis", 0)}},
      {"split", {feed({5, 6})}, {kF32, kF32}, {one("axis", 1), one("num_outputs", 2)}},
      {"squeeze", {feed({3, 1, 4}), numbers({1})}, f, {}},
      {"unsqueeze", {feed({3, 4}), numbers({0, 2})}, f, {}},
      {"expand", {feed({3, 1}), numbers({2, 3, 4})}, f, {}},
      {"flatten", {feed({3, 4, 2})}, f, {one("axis", 2)}},
      {"identity", {feed({3, 4})}, f, {}},
  };
}

class Fuzzer {
 public:
  explicit Fuzzer(uint32_t seed) : random_(seed) {}

  Case changed(Case call) {
    for (size_t changes = 1 + pick(3); changes > 0; --changes) change(&call);
    return call;
  }

  // Bytes of an input: small numbers, so that most of them are good indices.
  std::string contents(const Input& input) {
    std::string bytes;
    const int64_t count = count_of(input.dims);
    for (int64_t i = 0; i < count; ++i) {
      if (input.dtype.code == GK_FLOAT && input.dtype.bits == 32) {
        append(&bytes, static_cast<float>(pick(9)) / 4.0f - 1.0f);
      } else if (input.dtype.bits == 64 && input.dtype.code == GK_INT) {
        append(&bytes, i < static_cast<int64_t>(input.values.size()) ? input.values[static_cast<size_t>(i)]
                                                                     : static_cast<int64_t>(pick(3)));
      } else {
        bytes += static_cast<char>(pick(2));
        bytes.append(static_cast<size_t>(input.dtype.bits / 8) - 1, '\0');
      }
    }
    return bytes;
  }

  // Elements; -1 where no such tensor is fed.
  static int64_t count_of(const std::vector<int64_t>& dims) {
    int64_t count = 1;
    for (const int64_t dim : dims) {
      if (dim < 0 || (dim > 0 && count > (1 << 16) / dim)) return -1;
      count *= dim;
    }
    return count;
  }

 private:
  size_t pick(size_t count) { return count == 0 ? 0 : random_() % count; }

  int64_t hostile() {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    constexpr int64_t kOdd[] = {0,  -1, 1, 2, 3, 5, 8, 17, 64, -2, -9, 255, INT32_MAX, int64_t{1} << 31, int64_t{1} << 32,
                                int64_t{1} << 40, int64_t{1} << 43, int64_t{1} << 62, kMost, kMost - 1, -kMost, -kMost - 1};
    return kOdd[pick(std::size(kOdd))];
  }
  int64_t some() { return pick(3) == 0 ? hostile() : static_cast<int64_t>(pick(7)); }

  void change_numbers(std::vector<int64_t>* all) {
    switch (pick(4)) {
      case 0: all->insert(all->begin() + static_cast<int64_t>(pick(all->size() + 1)), some()); break;
      case 1:
        if (!all->empty()) all->erase(all->begin() + static_cast<int64_t>(pick(all->size())));
        break;
      default:
        if (!all->empty()) (*all)[pick(all->size())] = some();
    }
  }

  void change(Case* call) {
    Input& input = call->inputs[pick(call->inputs.size())];
    switch (pick(8)) {
      case 0:
      case 1: change_numbers(&input.dims); break;
      case 2:
        change_numbers(&input.values);
        if (input.dims.size() == 1) input.dims[0] = static_cast<int64_t>(input.values.size());
        break;
      case 3: {
        constexpr gk_dtype kOther[] = {kF32, kI64, kI32, kU8, kBool, kF64, kBf16, {GK_FLOAT, 16, 1}};
        input.dtype = kOther[pick(std::size(kOther))];
        break;
      }
      case 4: input.from = static_cast<From>(pick(4)); break;
      default:
        if (call->attributes.empty()) return change_numbers(&input.dims);
        Attribute& attribute = call->attributes[pick(call->attributes.size())];
        if (attribute.many) {
          change_numbers(&attribute.numbers);
        } else if (!attribute.numbers.empty()) {
          attribute.numbers[0] = some();
        } else {
          constexpr const char* kWords[] = {"", "min", "edge", "wrap", "DCR", "mul", "rms", "lp", "cubic", "VALID", "nonsense"};
          attribute.text = kWords[pick(std::size(kWords))];
        }
    }
  }

  template <class T>
  static void append(std::string* bytes, const T& value) {
    bytes->append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::mt19937 random_;
};

// Opens and runs a plan of this one step; GK_OK where it runs.
int run(const Case& call, Fuzzer* fuzzer, int32_t isa) {
  Plan plan;
  std::vector<int32_t> from, to;
  std::vector<std::unique_ptr<char[]>> memory; // of exactly their size
  std::vector<gk_tensor> feeds;
  std::vector<std::vector<int64_t>> dims;
  dims.reserve(call.inputs.size());
  bool has_data = true;
  for (const Input& input : call.inputs) {
    const std::string name = "x" + std::to_string(from.size());
    if (input.from == From::kNowhere) {
      from.push_back(-1);
      continue;
    }
    const bool is_there = Fuzzer::count_of(input.dims) >= 0;
    const bool constant = input.from == From::kConstant, decides = input.from == From::kShapeFeed;
    if (!is_there && (constant || decides)) return GK_INVALID_ARGUMENT; // would be a plan of its size
    const std::string bytes = is_there ? fuzzer->contents(input) : "";
    if (constant) {
      from.push_back(plan.constant(name, input.dtype, input.dims, std::vector<char>(bytes.begin(), bytes.end())));
      continue;
    }
    if (input.dims.size() > 8) return GK_INVALID_ARGUMENT;
    from.push_back(plan.input(name, input.dtype, std::vector<int64_t>(input.dims.size(), -1), decides));
    dims.push_back(input.dims);
    memory.push_back(std::make_unique<char[]>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), memory.back().get());
    feeds.push_back({is_there ? memory.back().get() : nullptr, {GK_CPU, 0}, static_cast<int32_t>(input.dims.size()),
                     input.dtype, dims.back().data(), nullptr, 0});
    has_data = has_data && is_there;
  }
  std::vector<Plan::Attribute> attributes;
  for (const Attribute& attribute : call.attributes) {
    if (attribute.many) {
      attributes.push_back(Plan::integers(attribute.name, attribute.numbers));
    } else if (attribute.numbers.empty()) {
      attributes.push_back(Plan::text(attribute.name, attribute.text));
    } else {
      attributes.push_back(Plan::integer(attribute.name, attribute.numbers[0]));
    }
  }
  for (const gk_dtype dtype : call.outputs) to.push_back(plan.intermediate("y" + std::to_string(to.size()), dtype));
  plan.add(Plan::step(call.op, from, to, attributes));
  gk_plan_options options = {};
  options.memory_limit = 1 << 22;
  options.isa = isa;
  OpenPlan open(plan.bytes(to), "", options);
  CHECK((open.status == GK_OK) == (open.message.text[0] == '\0'));
  if (open.status != GK_OK) return open.status;
  if (has_data) {
    open.run(feeds);
  } else { // shapes that nobody has memory for: as far as it goes without
    std::vector<int64_t> shapes(to.size() * GK_MAX_RANK);
    std::vector<gk_tensor> outputs(to.size());
    for (size_t i = 0; i < to.size(); ++i) outputs[i].shape = &shapes[i * GK_MAX_RANK];
    open.status = gk_plan_shapes(open.plan, feeds.data(), outputs.data(), &open.message);
  }
  CHECK_WITH((open.status == GK_OK) == (open.message.text[0] == '\0'), open.message.text);
  const int status = open.status;
  if (status != GK_OK) std::snprintf(g_why, sizeof g_why, "%s", open.message.text);
  return status;
}

}  // namespace

void test_ops_fuzz() {
  uint32_t seed = 0;
  for (const Case& call : cases()) {
    if (graphopt::find_op(call.op) == nullptr) continue; // a build of a few operators
    Fuzzer fuzzer(++seed);
    for (const int32_t isa : supported_levels()) {
      const int status = run(call, &fuzzer, isa);
      CHECK_WITH(status == GK_OK, call.op + ": " + g_why);
    }
    for (int round = 0; round < kRounds; ++round) run(fuzzer.changed(call), &fuzzer, GK_ISA_BEST);
  }
}
