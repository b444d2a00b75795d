// copy against a loop over indices: layouts of every rank, element sizes, tiles and their edges, broadcast and reversed
// sources, strided destinations.
#include "movement.h"

namespace {

using namespace movement;

// A tensor of `shape` whose elements lie in a larger block, `offset` elements from its start.
struct Strided {
  std::vector<int64_t> shape, strides;
  int64_t offset = 0;
};

Strided row_major(const std::vector<int64_t>& shape) {
  Strided layout = {shape, std::vector<int64_t>(shape.size()), 0};
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    layout.strides[i] = stride;
    stride *= shape[i];
  }
  return layout;
}

Strided permuted(const Strided& from, const std::vector<size_t>& perm) {
  Strided to = from;
  for (size_t i = 0; i < perm.size(); ++i) {
    to.shape[i] = from.shape[perm[i]];
    to.strides[i] = from.strides[perm[i]];
  }
  return to;
}

// Every step-th element along an axis, from the last one where step is negative.
Strided stepped(const Strided& from, size_t axis, int64_t step) {
  Strided to = from;
  const int64_t dim = from.shape[axis];
  if (dim > 0 && step < 0) to.offset += (dim - 1) * from.strides[axis];
  to.strides[axis] *= step;
  const int64_t size = step < 0 ? -step : step;
  to.shape[axis] = (dim + size - 1) / size;
  return to;
}

Strided repeated(const Strided& from, size_t axis, int64_t count) {
  Strided to = from;
  to.shape[axis] = count;
  to.strides[axis] = 0;
  return to;
}

gk_dtype dtype_of(int element) { return {GK_UINT, static_cast<uint8_t>(element * 8), 1}; }

gk_tensor tensor_of(Array& block, Strided& layout, gk_dtype dtype) {
  return {block.data(), {GK_CPU, 0}, static_cast<int32_t>(layout.shape.size()), dtype, layout.shape.data(),
          layout.strides.data(), static_cast<uint64_t>(layout.offset * (dtype.bits / 8))};
}

// `from` and `to` lie in blocks of that many elements.
void copies(Strided from, int64_t from_block, Strided to, int64_t to_block, int element, const std::string& name) {
  const gk_dtype bytes = dtype_of(1), dtype = dtype_of(element);
  Array source = random_array(bytes, {from_block * element});
  Array expected(bytes, {to_block * element});
  if (count_of(to.shape) > 0) {
    std::vector<int64_t> index(to.shape.size(), 0);
    do {
      int64_t at = from.offset, put = to.offset;
      for (size_t i = 0; i < index.size(); ++i) {
        at += index[i] * from.strides[i];
        put += index[i] * to.strides[i];
      }
      std::memcpy(expected.data() + put * element, source.data() + at * element, static_cast<size_t>(element));
    } while (next_index(to.shape, &index));
  }
  for (const int32_t isa : supported_levels()) {
    for (const bool parallel : {false, true}) {
      ReversedPool pool;
      Array actual(bytes, {to_block * element});
      Call call;
      call.inputs = {tensor_of(source, from, dtype)};
      call.outputs = {tensor_of(actual, to, dtype)};
      call.raw.isa = isa;
      call.raw.parallel = parallel ? &pool.raw : nullptr;
      const std::string where = name + " " + graphopt::text_of(dims_of(to.shape)) + " of " + std::to_string(element) +
                                " bytes " + gk_isa_name(isa);
      CHECK_WITH(gk_run_kernel("copy", call.get()) == GK_OK, where);
      CHECK_WITH(actual.bytes == expected.bytes, where);
    }
  }
}

void to_compact(const Strided& from, int64_t from_block, int element, const std::string& name) {
  copies(from, from_block, row_major(from.shape), count_of(from.shape), element, name);
}

void transposes() {
  for (const int element : {1, 2, 4, 8, 16}) {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 5}, {2, 3}, {3, 70}, {70, 3}, {4, 4}, {5, 9},
                                        {15, 17}, {16, 16}, {33, 31}, {67, 130}, {7, 64},
                                        {3, 1041}, {1041, 3}, {2, 1033}, {1033, 2}, {6, 1030}, {1030, 7},
                                        {1024, 67}, {512, 130}}) {
      to_compact(permuted(row_major({rows, columns}), {1, 0}), rows * columns, element, "transpose");
    }
    for (const int64_t few : {2, 3, 5}) {
      to_compact(permuted(stepped(row_major({41, few}), 0, -1), {1, 0}), 41 * few, element, "pixels backwards");
      to_compact(permuted(stepped(row_major({few, 41}), 0, -1), {1, 0}), 41 * few, element, "channels backwards");
      to_compact(permuted(stepped(row_major({82, few}), 0, 2), {1, 0}), 82 * few, element, "every second pixel");
      Strided part = row_major({41, few + 2});
      part.shape = {41, few};
      copies(permuted(row_major({few, 41}), {1, 0}), 41 * few, part, 41 * (few + 2), element, "into wider pixels");
      to_compact(permuted(part, {1, 0}), 41 * (few + 2), element, "from wider pixels");
    }
    to_compact(permuted(row_major({2, 19, 5, 18}), {0, 2, 3, 1}), 2 * 19 * 5 * 18, element, "channels last");
    to_compact(permuted(row_major({3, 17, 4, 20}), {2, 0, 3, 1}), 3 * 17 * 4 * 20, element, "outer dims move");
    to_compact(permuted(row_major({2, 9, 3, 16}), {0, 2, 1, 3}), 2 * 9 * 3 * 16, element, "heads");
    to_compact(permuted(row_major({18, 20, 2}), {1, 0, 2}), 18 * 20 * 2, element, "pairs");
    to_compact(permuted(row_major({2, 3, 2, 3, 2, 3, 2, 3}), {7, 5, 3, 1, 0, 2, 4, 6}), 1296, element, "rank 8");
    // Into a destination that is itself transposed, and into one with gaps.
    copies(row_major({21, 34}), 21 * 34, permuted(row_major({34, 21}), {1, 0}), 21 * 34, element, "scatter columns");
    Strided gaps = row_major({20, 40});
    gaps.shape = {20, 17};
    gaps.offset = 5;
    copies(permuted(row_major({17, 20}), {1, 0}), 17 * 20, gaps, 20 * 40, element, "into a part");
  }
}

void rows_and_steps() {
  for (const int element : {1, 2, 4, 8, 16}) {
    for (const int64_t size : {0, 1, 3, 16, 65, 257}) to_compact(row_major({size}), size, element, "compact");
    to_compact(row_major({}), 1, element, "scalar");
    to_compact(stepped(row_major({3, 37}), 1, 2), 111, element, "every second");
    to_compact(stepped(row_major({3, 37}), 1, -1), 111, element, "backwards");
    to_compact(stepped(stepped(row_major({9, 37}), 1, -3), 0, -2), 333, element, "steps of -3 and -2");
    to_compact(repeated(row_major({5, 1}), 1, 21), 5, element, "broadcast columns");
    to_compact(repeated(row_major({1, 21}), 0, 5), 21, element, "broadcast rows");
    to_compact(repeated(repeated(row_major({1, 6, 1}), 0, 3), 2, 7), 6, element, "broadcast around");
    to_compact(row_major({3, 0, 2}), 0, element, "empty");
    Strided part = row_major({6, 50});
    part.shape = {6, 13};
    part.offset = 11;
    to_compact(part, 300, element, "columns of a matrix");
    copies(row_major({6, 13}), 78, part, 300, element, "into columns of a matrix");
    copies(row_major({19}), 19, stepped(row_major({19}), 0, -1), 19, element, "written backwards");
    copies(row_major({4, 19}), 76, stepped(row_major({4, 57}), 1, 3), 4 * 57, element, "written with gaps");
  }
  // More than one thread's share: one long row, many short ones, planes.
  to_compact(row_major({300'001}), 300'001, 1, "long");
  to_compact(repeated(row_major({1}), 0, 300'001), 1, 1, "long fill");
  to_compact(stepped(row_major({300'001}), 0, 3), 300'001, 2, "long step");
  to_compact(permuted(row_major({150, 170, 3}), {1, 0, 2}), 150 * 170 * 3, 4, "many short rows");
  to_compact(permuted(row_major({2, 130, 200}), {0, 2, 1}), 2 * 130 * 200, 4, "planes");
}

void refusals() {
  Array x(kF32, {3, 2}), y(kF32, {2, 3});
  check_refused("copy", {&x}, y, GK_INVALID_ARGUMENT, {}, "other dims");
  check_refused("copy", {&x}, Array(kI32, {3, 2}), GK_INVALID_ARGUMENT, {}, "other dtype");
  check_refused("copy", {&x, &x}, Array(kF32, {3, 2}), GK_INVALID_ARGUMENT, {}, "two inputs");
  Array deep(kF32, {1, 1, 1, 1, 1, 1, 1, 1, 1});
  check_refused("copy", {&deep}, deep, GK_INVALID_ARGUMENT, {}, "rank 9");
  Array many(kF32, {1});
  many.shape = {int64_t{1} << 40, int64_t{1} << 40};
  check_refused("copy", {&many}, many, GK_INVALID_ARGUMENT, {}, "too many elements");
}

}  // namespace

void test_copy() {
  transposes();
  rows_and_steps();
  refusals();
}
