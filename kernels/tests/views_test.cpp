// The operators that only look at their input in another way, against loops over indices: on compact inputs, which they
// must always take, and on strided ones, where they may refuse.
#include <functional>

#include "movement.h"

namespace {

using namespace movement;
using Index = std::vector<int64_t>;

// Where element `index` of a tensor of these strides lies.
int64_t place(const Dims& strides, const Index& index) {
  int64_t at = 0;
  for (int i = 0; i < strides.rank; ++i) at += strides[i] * index[static_cast<size_t>(i)];
  return at;
}

struct Case {
  const char* op;
  Index from;
  std::vector<Array*> rest; // inputs after the first
  Attributes attributes;
  std::vector<Index> to; // dims of the outputs
  // Row-major index into the input of element `index` of output `output`.
  std::function<int64_t(size_t output, const Index& index)> source;
};

std::string name_of(const Case& test) { return std::string(test.op) + " of " + graphopt::text_of(dims_of(test.from)); }

// Views of an input with the given strides, against `address` of its row-major elements; false where refused.
bool views_match(const Case& test, const Dims& strides, const std::function<int64_t(int64_t)>& address) {
  const graphopt::OpDef* def = graphopt::find_op(test.op);
  Array input(kU8, test.from);
  std::vector<Array*> inputs = {&input};
  inputs.insert(inputs.end(), test.rest.begin(), test.rest.end());
  const Shapes shapes = shapes_of(test.op, inputs, test.attributes, test.to.size());
  CHECK_WITH(shapes.ok, name_of(test) + ": " + shapes.error);
  if (!shapes.ok) return false;
  const std::vector<graphopt::Operand> operands = operands_of(inputs);
  std::vector<graphopt::ViewOf> views(test.to.size());
  graphopt::ViewCall call = {operands,
                             {test.attributes.list.data(), static_cast<int>(test.attributes.list.size())},
                             strides,
                             shapes.types,
                             views};
  CHECK_WITH(def->view != nullptr, test.op);
  if (!def->view(call)) return false;
  for (size_t output = 0; output < test.to.size(); ++output) {
    const Index& dims = test.to[output];
    CHECK_WITH(vector_of_dims(shapes.types[output].dims) == dims, name_of(test));
    CHECK_WITH(views[output].strides.rank == static_cast<int>(dims.size()), name_of(test));
    if (count_of(dims) == 0) continue;
    Index index(dims.size(), 0);
    bool right = true;
    do {
      right = right && views[output].offset + place(views[output].strides, index) ==
                           address(test.source(output, index));
    } while (next_index(dims, &index));
    CHECK_WITH(right, name_of(test) + " output " + std::to_string(output));
  }
  return true;
}

Dims row_major(const Index& shape) {
  Dims strides = dims_of(shape);
  int64_t stride = 1;
  for (int i = strides.rank - 1; i >= 0; --i) {
    const int64_t dim = strides[i];
    strides[i] = stride;
    stride *= dim;
  }
  return strides;
}

// Strides as of a tensor whose dims lie in reversed order, and the address of a row-major element in it.
void check(const Case& test) {
  CHECK_WITH(views_match(test, row_major(test.from), [](int64_t flat) { return flat; }), name_of(test));
  Index reversed(test.from.rbegin(), test.from.rend());
  const Dims backwards = row_major(reversed);
  Dims strides = backwards;
  for (int i = 0; i < strides.rank; ++i) strides[i] = backwards[strides.rank - 1 - i];
  views_match(test, strides, [&](int64_t flat) {
    int64_t at = 0;
    for (size_t i = test.from.size(); i-- > 0;) {
      at += flat % test.from[i] * strides[static_cast<int>(i)];
      flat /= test.from[i];
    }
    return at;
  });
}

void refuses(const char* op, const Index& from, const std::vector<Array*>& rest, const Attributes& attributes = {},
             size_t outputs = 1) {
  Array input(kU8, from);
  std::vector<Array*> inputs = {&input};
  inputs.insert(inputs.end(), rest.begin(), rest.end());
  CHECK_WITH(!shapes_of(op, inputs, attributes, outputs).ok, std::string(op) + graphopt::text_of(dims_of(from)));
}

void transposes() {
  const Index from = {2, 3, 4}, perm = {1, 2, 0}, twice = {0, 1, 1}, beyond = {0, 1, 3};
  check({"transpose", from, {}, Attributes().integers("perm", perm), {{3, 4, 2}}, [&](size_t, const Index& i) {
           return flat_index(from, {i[2], i[0], i[1]});
         }});
  check({"transpose", from, {}, {}, {{4, 3, 2}}, [&](size_t, const Index& i) {
           return flat_index(from, {i[2], i[1], i[0]});
         }});
  check({"transpose", {}, {}, {}, {{}}, [](size_t, const Index&) { return 0; }});
  check({"transpose", {0, 3}, {}, {}, {{3, 0}}, [](size_t, const Index&) { return 0; }});
  refuses("transpose", from, {}, Attributes().integers("perm", twice));
  refuses("transpose", from, {}, Attributes().integers("perm", beyond));
  refuses("transpose", {2, 3}, {}, Attributes().integers("perm", perm));
}

void reshapes() {
  const auto reshape = [](const Index& from, const Index& target, const Index& to, int64_t allow_zero = 0) {
    Array shape = int64s(target);
    check({"reshape", from, {&shape}, Attributes().integer("allowzero", allow_zero), {to},
           [&](size_t, const Index& i) { return flat_index(to, i); }});
  };
  reshape({2, 3, 4}, {6, 4}, {6, 4});
  reshape({2, 3, 4}, {4, -1}, {4, 6});
  reshape({2, 3, 4}, {0, 0, 2, -1}, {2, 3, 2, 2});
  reshape({2, 3, 4}, {-1}, {24});
  reshape({1, 1}, {}, {});
  reshape({}, {1, -1}, {1, 1});
  reshape({2, 0}, {-1, 5}, {0, 5});
  reshape({0, 3}, {0, 7}, {0, 7}, 1);
  reshape({6, 1, 5}, {1, 3, 2, 5, 1}, {1, 3, 2, 5, 1});
  const auto refused = [](const Index& from, const Index& target, int64_t allow_zero = 0) {
    Array shape = int64s(target);
    refuses("reshape", from, {&shape}, Attributes().integer("allowzero", allow_zero));
  };
  refused({2, 3}, {4});
  refused({2, 3}, {-1, 4});
  refused({2, 3}, {-1, -1});
  refused({2, 3}, {-2, -3});
  refused({2, 3}, {2, 3, 0});
  refused({0, 3}, {0, -1}, 1);
  refused({2, 3}, {int64_t{1} << 62, 8});
  refused({1}, {1, 1, 1, 1, 1, 1, 1, 1, 1});
  refuses("reshape", {2}, {nullptr});

  // A transposed input: dims that stay together can be looked at, others cannot.
  const Dims transposed = {3, {1, 24, 4}}; // [4, 2, 6] of a [2, 6, 4]
  const auto address = [](int64_t i) { return i / 12 + i % 12 / 6 * 24 + i % 6 * 4; };
  Array cut = int64s({2, 2, 2, 3, 2}), whole = int64s({8, 6});
  const Case cuts = {"reshape", {4, 2, 6}, {&cut}, {}, {{2, 2, 2, 3, 2}},
                     [](size_t, const Index& i) { return flat_index({2, 2, 2, 3, 2}, i); }};
  CHECK(views_match(cuts, transposed, address));
  const Case joins = {"reshape", {4, 2, 6}, {&whole}, {}, {{8, 6}},
                      [](size_t, const Index& i) { return flat_index({8, 6}, i); }};
  CHECK(!views_match(joins, transposed, address));
}

void flattens() {
  for (int64_t axis = -3; axis <= 3; ++axis) {
    const int64_t at = axis < 0 ? axis + 3 : axis;
    const Index to = {at == 0 ? 1 : at == 1 ? 2 : at == 2 ? 6 : 24, at == 0 ? 24 : at == 1 ? 12 : at == 2 ? 4 : 1};
    check({"flatten", {2, 3, 4}, {}, Attributes().integer("axis", axis), {to},
           [&](size_t, const Index& i) { return flat_index(to, i); }});
  }
  check({"flatten", {}, {}, Attributes().integer("axis", 0), {{1, 1}}, [](size_t, const Index&) { return 0; }});
  refuses("flatten", {2, 3}, {}, Attributes().integer("axis", 3));
  refuses("flatten", {2, 3}, {}, Attributes().integer("axis", -3));
}

void squeezes() {
  Array first_and_last = int64s({0, -1}), third = int64s({2}), beyond = int64s({4}), outer = int64s({0, -1, 2});
  const Index from = {1, 3, 1, 1};
  const auto row_major_source = [](const Index& to) {
    return [to](size_t, const Index& i) { return flat_index(to, i); };
  };
  check({"squeeze", from, {}, {}, {{3}}, row_major_source({3})});
  check({"squeeze", from, {&first_and_last}, {}, {{3, 1}}, row_major_source({3, 1})});
  check({"squeeze", from, {}, Attributes().integers("axes", {2}), {{1, 3, 1}}, row_major_source({1, 3, 1})});
  refuses("squeeze", {2, 3}, {&third});
  refuses("squeeze", {2, 3}, {&first_and_last});
  check({"unsqueeze", {3, 4}, {&outer}, {}, {{1, 3, 1, 4, 1}}, row_major_source({1, 3, 1, 4, 1})});
  check({"unsqueeze", {}, {}, Attributes().integers("axes", {0}), {{1}}, row_major_source({1})});
  refuses("unsqueeze", {3, 4}, {&beyond});
  Array twice = int64s({1, -3});
  refuses("unsqueeze", {3, 4}, {&twice});
}

void expands() {
  const auto expand = [](const Index& from, const Index& target, const Index& to) {
    Array shape = int64s(target);
    check({"expand", from, {&shape}, {}, {to}, [&](size_t, const Index& i) {
             Index index(from.size());
             for (size_t k = 0; k < from.size(); ++k) {
               index[k] = from[k] == 1 ? 0 : i[i.size() - from.size() + k];
             }
             return flat_index(from, index);
           }});
  };
  expand({3, 1}, {2, 1, 6}, {2, 3, 6});
  expand({3, 1}, {3, 4}, {3, 4});
  expand({2, 3}, {1}, {2, 3});
  expand({}, {2, 2}, {2, 2});
  expand({1, 3}, {0, 3}, {0, 3});
  Array other = int64s({4}), negative = int64s({-1});
  refuses("expand", {3}, {&other});
  refuses("expand", {3}, {&negative});
}

void slices() {
  const auto slice = [](const Index& from, const Index& starts, const Index& ends, const Index& axes,
                        const Index& steps, const Index& to, const Index& first, const Index& step) {
    Array start = int64s(starts), end = int64s(ends), axis = int64s(axes), stride = int64s(steps);
    check({"slice", from, {&start, &end, axes.empty() ? nullptr : &axis, steps.empty() ? nullptr : &stride}, {}, {to},
           [&](size_t, const Index& i) {
             Index index(i.size());
             for (size_t k = 0; k < i.size(); ++k) index[k] = first[k] + i[k] * step[k];
             return flat_index(from, index);
           }});
  };
  constexpr int64_t kMost = INT64_MAX, kLeast = INT64_MIN;
  slice({20, 10}, {0, 0}, {3, 10}, {0, 1}, {1, 1}, {3, 10}, {0, 0}, {1, 1});
  slice({20, 10}, {1}, {-1}, {1}, {}, {20, 8}, {0, 1}, {1, 1});
  slice({20, 10}, {2, -3}, {1000, kMost}, {}, {}, {18, 3}, {2, 7}, {1, 1});
  slice({20, 10}, {kMost}, {kLeast}, {-1}, {-3}, {20, 4}, {0, 9}, {1, -3});
  slice({20, 10}, {-1, 7}, {kLeast, 2}, {0, 1}, {-7, -2}, {3, 3}, {19, 7}, {-7, -2});
  slice({20, 10}, {5}, {5}, {0}, {1}, {0, 10}, {0, 0}, {1, 1});
  slice({20, 10}, {8}, {3}, {1}, {2}, {20, 0}, {0, 0}, {1, 1});
  slice({5}, {4}, {kLeast}, {0}, {kLeast}, {1}, {4}, {1});
  slice({5}, {0}, {kMost}, {0}, {kMost}, {1}, {0}, {1});
  slice({0}, {0}, {kMost}, {0}, {-1}, {0}, {0}, {1});
  slice({5}, {-100}, {kLeast}, {0}, {-1}, {1}, {0}, {1}); // the specification clamps such a start to the first element
  Array zero = int64s({0}), one = int64s({1}), two = int64s({0, 0}), beyond = int64s({1});
  refuses("slice", {5}, {&zero, &one, nullptr, &zero});
  refuses("slice", {5}, {&zero, &one, &beyond});
  refuses("slice", {5, 5}, {&two, &two, &two});
  refuses("slice", {5}, {&zero, &two});
  refuses("slice", {5}, {nullptr, &one});
}

void splits() {
  const auto split = [](const Index& from, size_t axis, Array* sizes, const Attributes& attributes,
                        const std::vector<Index>& to) {
    check({"split", from, {sizes}, attributes, to, [&](size_t output, const Index& i) {
             Index index = i;
             for (size_t k = 0; k < output; ++k) index[axis] += to[k][axis];
             return flat_index(from, index);
           }});
  };
  Array sizes = int64s({2, 0, 4}), wrong = int64s({2, 2, 1}), negative = int64s({-1, 3, 4});
  split({6, 4}, 0, &sizes, {}, {{2, 4}, {0, 4}, {4, 4}});
  split({4, 6}, 1, &sizes, Attributes().integer("axis", -1), {{4, 2}, {4, 0}, {4, 4}});
  split({7}, 0, nullptr, Attributes().integer("num_outputs", 3), {{3}, {3}, {1}});
  split({6}, 0, nullptr, {}, {{2}, {2}, {2}});
  split({1}, 0, nullptr, Attributes().integer("num_outputs", 3), {{1}, {0}, {0}});
  refuses("split", {6}, {&wrong}, {}, 3);
  refuses("split", {6}, {&negative}, {}, 3);
  refuses("split", {6}, {&sizes}, {}, 2);
  refuses("split", {6}, {}, Attributes().integer("num_outputs", 2), 3);
  refuses("split", {6}, {}, Attributes().integer("axis", 1), 2);
}

}  // namespace

void test_views() {
  transposes();
  reshapes();
  flattens();
  squeezes();
  expands();
  slices();
  splits();
}
