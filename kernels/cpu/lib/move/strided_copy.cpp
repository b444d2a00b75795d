// Copies between layouts: rows that are contiguous in both, elements repeated along a row, planes that are
// transposed in registers, and whatever is left element by element.
//
// bytes moved: each element read once and written once; planes are walked in blocks so that a cache line read is used
// up before it leaves the first-level cache.
#include "cpu/lib/move/strided_copy.h"

#include "cpu/lib/move/transpose_block.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

enum Kind {
  kRows,    // the last dim is contiguous in both
  kFill,    // the last dim repeats one element
  kPlane,   // the last dim is contiguous in the destination, another one in the source
  kElements // neither
};

// A plane's block: elements along either side. Its source and destination fit into the first-level cache together.
constexpr int64_t kBlock = 64;
// Bytes of a row's piece: what one thread takes at least.
constexpr int64_t kPieceBytes = kGrainBytes;

// Blocks along a side of `size`; what is left over and smaller than a tile goes to the last one.
int64_t block_count(int64_t size, int64_t block, int side) {
  const int64_t count = (size + block - side) / block;
  return count < 1 ? 1 : count;
}

void swap(int64_t* a, int64_t* b) {
  const int64_t held = *a;
  *a = *b;
  *b = held;
}

// Dims of one out, destination walked upwards and outermost first, dims that lie alike in one.
void simplify(StridedCopy* copy) {
  int rank = 0;
  for (int i = 0; i < copy->rank; ++i) {
    if (copy->dims[i] == 1) continue;
    copy->dims[rank] = copy->dims[i];
    copy->from[rank] = copy->from[i];
    copy->to[rank] = copy->to[i];
    if (copy->to[rank] < 0) {
      copy->from_offset += (copy->dims[rank] - 1) * copy->from[rank];
      copy->to_offset += (copy->dims[rank] - 1) * copy->to[rank];
      copy->from[rank] = -copy->from[rank];
      copy->to[rank] = -copy->to[rank];
    }
    for (int k = rank++; k > 0 && copy->to[k] > copy->to[k - 1]; --k) {
      swap(&copy->dims[k], &copy->dims[k - 1]);
      swap(&copy->from[k], &copy->from[k - 1]);
      swap(&copy->to[k], &copy->to[k - 1]);
    }
  }
  copy->rank = rank == 0 ? 0 : 1;
  for (int i = 1; i < rank; ++i) {
    const int last = copy->rank - 1;
    if (copy->to[last] == copy->to[i] * copy->dims[i] && copy->from[last] == copy->from[i] * copy->dims[i]) {
      copy->dims[last] *= copy->dims[i];
    } else {
      copy->dims[++copy->rank - 1] = copy->dims[i];
    }
    copy->from[copy->rank - 1] = copy->from[i];
    copy->to[copy->rank - 1] = copy->to[i];
  }
}

bool is_power_of_two(int64_t value) { return value > 0 && (value & (value - 1)) == 0; }

// The last dim becomes part of the element, or the element part of a last dim of bytes.
void choose_element(StridedCopy* copy, int64_t element) {
  if (copy->rank > 1 && copy->from[copy->rank - 1] == element && copy->to[copy->rank - 1] == element) {
    const int64_t row = element * copy->dims[copy->rank - 1];
    if (row <= 16 && is_power_of_two(row)) {
      element = row;
      --copy->rank;
    }
  }
  const bool rows = copy->rank > 0 && copy->from[copy->rank - 1] == element && copy->to[copy->rank - 1] == element;
  if (rows) {
    copy->dims[copy->rank - 1] *= element;
    copy->from[copy->rank - 1] = copy->to[copy->rank - 1] = element = 1;
  } else if (copy->rank == 0) {
    copy->dims[copy->rank] = element;
    copy->from[copy->rank] = copy->to[copy->rank] = element = 1;
    ++copy->rank;
  }
  copy->element = static_cast<int32_t>(element);
}

// ---- rows ----

struct CopyRow {
  void operator()(char* to, const char* from, int64_t, int64_t, int64_t count) const { copy_bytes(to, from, count); }
};

template <int kBytes>
struct FillRow {
  void operator()(char* to, const char* from, int64_t, int64_t, int64_t count) const {
    fill_elements<kBytes>(to, from, count);
  }
};

template <int kBytes>
struct ElementRow {
  void operator()(char* to, const char* from, int64_t to_stride, int64_t from_stride, int64_t count) const {
    using Element = typename BytesOf<kBytes>::Type;
    Element* out = reinterpret_cast<Element*>(to);
    const Element* in = reinterpret_cast<const Element*>(from);
    // Strides that are known while compiling become shuffles.
    if (to_stride == kBytes && from_stride == -kBytes) {
      for (int64_t i = 0; i < count; ++i) out[i] = in[-i];
    } else if (to_stride == kBytes && from_stride == 2 * kBytes) {
      for (int64_t i = 0; i < count; ++i) out[i] = in[2 * i];
    } else {
      for (int64_t i = 0; i < count; ++i) {
        copy_element<kBytes>(to + i * to_stride, from + i * from_stride);
      }
    }
  }
};

// Indices of the dims before `rank` that task number `index` has, and where it begins.
struct Odometer {
  int64_t at[kCopyRank];
  int64_t from, to;

  Odometer(const StridedCopy& copy, int rank, int64_t index) : from(copy.from_offset), to(copy.to_offset) {
    for (int i = rank - 1; i >= 0; --i) {
      at[i] = index % copy.dims[i];
      index /= copy.dims[i];
      from += at[i] * copy.from[i];
      to += at[i] * copy.to[i];
    }
  }

  // `steps` further along dim `rank` - 1, at most to its end.
  void advance(const StridedCopy& copy, int rank, int64_t steps) {
    for (int i = rank - 1; i >= 0; --i, steps = 1) {
      at[i] += steps;
      from += steps * copy.from[i];
      to += steps * copy.to[i];
      if (at[i] < copy.dims[i]) return;
      from -= at[i] * copy.from[i];
      to -= at[i] * copy.to[i];
      at[i] = 0;
    }
  }
};

template <class Row>
void walk_rows(const StridedCopy& copy, const char* from, char* to, int64_t begin, int64_t end, Row row) {
  const int last = copy.rank - 1;
  const int64_t count = copy.dims[last], from_step = copy.from[last], to_step = copy.to[last];
  if (copy.pieces > 1) {
    const int64_t piece = (count + copy.pieces - 1) / copy.pieces;
    for (int64_t task = begin; task < end; ++task) {
      const Odometer place(copy, last, task / copy.pieces);
      const int64_t first = task % copy.pieces * piece, rest = count - first;
      if (rest <= 0) continue;
      row(to + place.to + first * to_step, from + place.from + first * from_step, to_step, from_step,
          rest < piece ? rest : piece);
    }
    return;
  }
  if (last == 0) {
    row(to + copy.to_offset, from + copy.from_offset, to_step, from_step, count);
    return;
  }
  Odometer place(copy, last, begin);
  const int64_t from_row = copy.from[last - 1], to_row = copy.to[last - 1];
  while (begin < end) {
    int64_t rows = copy.dims[last - 1] - place.at[last - 1];
    if (rows > end - begin) rows = end - begin;
    const char* in = from + place.from;
    char* out = to + place.to;
    for (int64_t i = 0; i < rows; ++i, in += from_row, out += to_row) row(out, in, to_step, from_step, count);
    begin += rows;
    place.advance(copy, last, rows);
  }
}

// ---- planes ----

template <int kBytes>
void walk_planes(const StridedCopy& copy, const char* from, char* to, int64_t begin, int64_t end) {
  const int last = copy.rank - 1, plane = copy.plane;
  const int64_t from_stride = copy.from[last], to_stride = copy.to[plane];
  // The plane's own dim is stepped through by blocks, so the outer dims are all others.
  StridedCopy outer = copy;
  for (int i = plane; i < last - 1; ++i) {
    outer.dims[i] = copy.dims[i + 1];
    outer.from[i] = copy.from[i + 1];
    outer.to[i] = copy.to[i + 1];
  }
  const int64_t blocks = copy.row_blocks * copy.column_blocks;
  Odometer place(outer, last - 1, begin / blocks);
  int64_t block = begin % blocks;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t row_block = block / copy.column_blocks, column_block = block % copy.column_blocks;
    const int64_t k = row_block * copy.block_rows, j = column_block * copy.block_columns;
    const int64_t rows = row_block == copy.row_blocks - 1 ? copy.dims[plane] - k : copy.block_rows;
    const int64_t columns = column_block == copy.column_blocks - 1 ? copy.dims[last] - j : copy.block_columns;
    transpose_any<kBytes>(from + place.from + k * kBytes + j * from_stride, from_stride,
                          to + place.to + k * to_stride + j * kBytes, to_stride, rows, columns);
    if (++block == blocks) {
      block = 0;
      place.advance(outer, last - 1, 1);
    }
  }
}

template <int kBytes>
void walk(const StridedCopy& copy, const char* from, char* to, int64_t begin, int64_t end) {
  if (copy.kind == kFill) return walk_rows(copy, from, to, begin, end, FillRow<kBytes>());
  if (copy.kind == kElements) return walk_rows(copy, from, to, begin, end, ElementRow<kBytes>());
  walk_planes<kBytes>(copy, from, to, begin, end);
}

struct Work {
  const StridedCopy* copy;
  const char* from;
  char* to;
};

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  copy_range(*work.copy, work.from, work.to, begin, end);
}

}  // namespace

StridedCopy describe_copy(int rank, const int64_t* dims, const int64_t* from, const int64_t* to, int64_t element) {
  StridedCopy copy;
  copy.from_offset = copy.to_offset = copy.tasks = 0;
  copy.grain = copy.pieces = copy.row_blocks = copy.column_blocks = 1;
  copy.block_rows = copy.block_columns = kBlock;
  copy.element = 1;
  copy.kind = kRows;
  copy.plane = -1;
  copy.rank = rank;
  for (int i = 0; i < rank; ++i) {
    if (dims[i] == 0) return copy;
    copy.dims[i] = dims[i];
    copy.from[i] = from[i] * element;
    copy.to[i] = to[i] * element;
  }
  simplify(&copy);
  choose_element(&copy, element);

  const int last = copy.rank - 1;
  copy.kind = copy.to[last] != copy.element ? kElements
              : copy.from[last] == copy.element ? kRows
              : copy.from[last] == 0 ? kFill
                                     : kElements;
  if (copy.to[last] == copy.element && copy.kind == kElements) {
    for (int i = 0; i < last; ++i) {
      if (copy.from[i] == copy.element) copy.plane = i;
    }
    if (copy.plane >= 0) copy.kind = kPlane;
  }
  int64_t bytes = copy.element; // of a task
  copy.tasks = 1;
  for (int i = 0; i < last; ++i) copy.tasks *= i == copy.plane ? 1 : copy.dims[i];
  if (copy.kind == kPlane) {
    const int side = tile_side(copy.element);
    // Where one side is short, the other is longer.
    if (copy.dims[copy.plane] < kBlock / 4) copy.block_columns = kBlock * 16;
    if (copy.dims[last] < kBlock / 4) copy.block_rows = kBlock * 16;
    copy.row_blocks = block_count(copy.dims[copy.plane], copy.block_rows, side);
    copy.column_blocks = block_count(copy.dims[last], copy.block_columns, side);
    copy.tasks *= copy.row_blocks * copy.column_blocks;
    bytes *= copy.dims[copy.plane] / copy.row_blocks * (copy.dims[last] / copy.column_blocks);
  } else {
    const int64_t row = copy.dims[last] * copy.element;
    copy.pieces = row / kPieceBytes < 2 ? 1 : row / kPieceBytes;
    copy.tasks *= copy.pieces;
    bytes = row / copy.pieces;
  }
  copy.grain = bytes >= kGrainBytes ? 1 : kGrainBytes / (bytes < 1 ? 1 : bytes);
  return copy;
}

void copy_range(const StridedCopy& copy, const char* from, char* to, int64_t begin, int64_t end) {
  if (begin >= end) return;
  if (copy.kind == kRows) return walk_rows(copy, from, to, begin, end, CopyRow());
  switch (copy.element) {
    case 1: return walk<1>(copy, from, to, begin, end);
    case 2: return walk<2>(copy, from, to, begin, end);
    case 4: return walk<4>(copy, from, to, begin, end);
    case 8: return walk<8>(copy, from, to, begin, end);
    default: return walk<16>(copy, from, to, begin, end);
  }
}

int run_copy(const gk_call* call, const StridedCopy& copy, const char* from, char* to) {
  Work work = {&copy, from, to};
  return parallel_for(call, copy.tasks, copy.grain, body, &work);
}

int copy_block(const gk_call* call, const char* from, char* to, int64_t bytes) {
  const int64_t stride = 1;
  return run_copy(call, describe_copy(1, &bytes, &stride, &stride, 1), from, to);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
