// A copy between two layouts of the same shape: what every operator that moves data comes down to.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

// Tile, depth_to_space and the like look at a tensor with more dims than it has.
constexpr int kCopyRank = 2 * 8;

// A copy in its simplest form: dims that lie alike in both layouts are one, dims of one are gone, the rest goes
// from the largest distance in the destination to the smallest. Distances are bytes.
struct StridedCopy {
  int64_t dims[kCopyRank], from[kCopyRank], to[kCopyRank];
  int64_t from_offset, to_offset; // of the first element moved
  int64_t tasks;                  // independent pieces of work: copy_range takes any range of them
  int64_t grain;                  // tasks worth a thread
  int64_t pieces;                 // of a row: tasks are (outer dims, piece)
  int64_t row_blocks, column_blocks; // of a plane: tasks are (outer dims, row block, column block)
  int64_t block_rows, block_columns; // elements along the sides of all blocks but the last
  int32_t rank;
  int32_t element; // bytes that are moved as one: a power of two up to 16, or 1 where rows are bytes
  int32_t kind;    // strided_copy.cpp
  int32_t plane;   // the dim that is contiguous in the source where that is not the last one
};

// Plans the copy of `rank` dims (at most kCopyRank) of elements of `element` bytes (1, 2, 4, 8 or 16). Distances are
// elements; they may be 0 in the source and negative in both.
StridedCopy describe_copy(int rank, const int64_t* dims, const int64_t* from, const int64_t* to, int64_t element);

// Tasks [begin, end) of the copy.
void copy_range(const StridedCopy& copy, const char* from, char* to, int64_t begin, int64_t end);

// The whole copy on the call's threads.
int run_copy(const gk_call* call, const StridedCopy& copy, const char* from, char* to);

// `bytes` bytes on the call's threads.
int copy_block(const gk_call* call, const char* from, char* to, int64_t bytes);

}  // namespace GK_LEVEL
}  // namespace graphopt
