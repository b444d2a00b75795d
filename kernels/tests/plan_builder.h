// Writes plan files for tests, and runs them through the C ABI.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "check.h"

// The bytes of a plan; a value is a number, as in the file.
class PlanBuilder {
 public:
  struct Attribute {
    std::string name;
    int kind;
    std::string payload;
  };

  int32_t intermediate(const std::string& name, gk_dtype dtype = kF32) { return value(name, dtype, 0); }

  // An intermediate value of which the model says a shape.
  int32_t declared(const std::string& name, gk_dtype dtype, const std::vector<int64_t>& dims) {
    const int32_t index = value(name, dtype, 4);
    shape(dims);
    return index;
  }

  // A dim is a size, -1, or -2-k for symbol k.
  int32_t input(const std::string& name, gk_dtype dtype, const std::vector<int64_t>& dims,
                bool decides_shapes = false) {
    const int32_t index = value(name, dtype, decides_shapes ? 3 : 1);
    shape(dims);
    inputs.push_back(index);
    return index;
  }

  template <class T>
  int32_t constant(const std::string& name, gk_dtype dtype, const std::vector<int64_t>& dims,
                   const std::vector<T>& contents) {
    const int32_t index = value(name, dtype, 2);
    shape(dims);
    values += '\0';
    put(&values, static_cast<uint64_t>(contents.size() * sizeof(T)));
    for (const T& number : contents) put(&values, number);
    return index;
  }

  int32_t weight(const std::string& name, gk_dtype dtype, const std::vector<int64_t>& dims, uint64_t offset,
                 uint64_t length) {
    const int32_t index = value(name, dtype, 2);
    shape(dims);
    values += '\1';
    put(&values, offset);
    put(&values, length);
    return index;
  }

  static Attribute integer(const std::string& name, int64_t number) { return {name, 1, raw(number)}; }
  static Attribute integers(const std::string& name, const std::vector<int64_t>& numbers) {
    std::string payload = raw(static_cast<uint32_t>(numbers.size()));
    for (const int64_t number : numbers) payload += raw(number);
    return {name, 4, payload};
  }

  static Attribute text(const std::string& name, const std::string& value) {
    return {name, 3, raw(static_cast<uint32_t>(value.size())) + value};
  }

  static std::string step(const std::string& op, const std::vector<int32_t>& from, const std::vector<int32_t>& to,
                          const std::vector<Attribute>& attributes = {},
                          const std::vector<std::string>& programs = {}) {
    std::string bytes;
    put_text(&bytes, "the " + op);
    put_text(&bytes, op);
    numbers(&bytes, from);
    numbers(&bytes, to);
    put(&bytes, static_cast<uint32_t>(attributes.size()));
    for (const Attribute& attribute : attributes) {
      put_text(&bytes, attribute.name);
      bytes += static_cast<char>(attribute.kind);
      bytes += attribute.payload;
    }
    put(&bytes, static_cast<uint32_t>(programs.size()));
    for (const std::string& program : programs) bytes += program;
    return bytes;
  }

  void add(const std::string& step) { steps.push_back(step); }

  static std::string program(const std::vector<int32_t>& from, const std::vector<int32_t>& to,
                             const std::vector<std::string>& steps) {
    std::string bytes;
    numbers(&bytes, from);
    numbers(&bytes, to);
    put(&bytes, static_cast<uint32_t>(steps.size()));
    for (const std::string& one : steps) bytes += one;
    return bytes;
  }

  std::string bytes(const std::vector<int32_t>& outputs) const {
    std::string plan = "GOPTPLAN" + raw(version) + raw(arch) + raw(isa) + raw(uint32_t{0});
    plan += raw(static_cast<uint32_t>(value_count)) + values;
    plan += raw(static_cast<uint32_t>(symbols.size()));
    for (const std::string& symbol : symbols) put_text(&plan, symbol);
    return plan + program(inputs, outputs, steps);
  }

  uint32_t version = 2, arch = 0, isa = 0;
  std::vector<std::string> symbols, steps;
  std::vector<int32_t> inputs;

 private:
  template <class T>
  static std::string raw(const T& number) {
    return std::string(reinterpret_cast<const char*>(&number), sizeof number);
  }
  template <class T>
  static void put(std::string* bytes, const T& number) {
    *bytes += raw(number);
  }
  static void put_text(std::string* bytes, const std::string& text) {
    put(bytes, static_cast<uint32_t>(text.size()));
    *bytes += text;
  }
  static void numbers(std::string* bytes, const std::vector<int32_t>& numbers) {
    put(bytes, static_cast<uint32_t>(numbers.size()));
    for (const int32_t number : numbers) put(bytes, number);
  }
  int32_t value(const std::string& name, gk_dtype dtype, char kind) {
    put_text(&values, name);
    values += static_cast<char>(dtype.code);
    values += static_cast<char>(dtype.bits);
    values += kind;
    values += '\0';
    return value_count++;
  }
  void shape(const std::vector<int64_t>& dims) {
    put(&values, static_cast<int32_t>(dims.size()));
    for (const int64_t dim : dims) put(&values, dim);
  }

  std::string values;
  int32_t value_count = 0;
};

// A dense tensor of a test.
template <class T>
struct Tensor {
  std::vector<int64_t> dims;
  std::vector<T> data;
  gk_tensor raw(gk_dtype dtype) {
    return {data.data(), {GK_CPU, 0}, static_cast<int32_t>(dims.size()), dtype, dims.data(), nullptr, 0};
  }
};

// An open plan; what it cannot do is in `message`.
class OpenPlan {
 public:
  explicit OpenPlan(std::string bytes, const std::string& weights = "", gk_plan_options options = {})
      : bytes_(std::move(bytes)), weights_(weights) {
    options.struct_size = sizeof options;
    status = gk_plan_open(bytes_.data(), bytes_.size(), weights_.empty() ? nullptr : weights_.data(), weights_.size(),
                          &options, &plan, &message);
  }
  OpenPlan(const OpenPlan&) = delete;
  ~OpenPlan() {
    release();
    gk_plan_close(plan);
  }

  // The outputs, allocated by the plan; release() them.
  int run(const std::vector<gk_tensor>& inputs, gk_run_options* options = nullptr) {
    release();
    outputs.assign(static_cast<size_t>(gk_plan_output_count(plan)), gk_tensor{});
    status = gk_plan_run(plan, inputs.data(), outputs.data(), options, &message);
    return status;
  }

  template <class T>
  std::vector<T> output(size_t index) const {
    const gk_tensor& tensor = outputs[index];
    int64_t count = 1;
    for (int i = 0; i < tensor.ndim; ++i) count *= tensor.shape[i];
    const T* data = static_cast<const T*>(tensor.data);
    return std::vector<T>(data, data + count);
  }

  std::vector<int64_t> dims(size_t index) const {
    return {outputs[index].shape, outputs[index].shape + outputs[index].ndim};
  }

  void release() {
    for (gk_tensor& output : outputs) gk_plan_release_output(&output);
    outputs.clear();
  }

  bool says(const char* text) const { return std::strstr(message.text, text) != nullptr; }

  gk_plan* plan = nullptr;
  int status = GK_OK;
  gk_message message = {};
  std::vector<gk_tensor> outputs;

 private:
  std::string bytes_, weights_;
};
