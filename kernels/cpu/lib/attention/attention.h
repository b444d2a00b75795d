// What the two ways to compute attention share: the shapes of a call as numbers, and which keys a query sees.
//
// Attention is done for one key head and some of its queries at a time. Grouped heads are more queries of the
// same key head: query r of key head h is head h · group + r / q_length, position r % q_length.
//   attention_lanes  a query in each lane of a vector: scores and values are broadcast tiles, no key or value is
//                    packed, and the softmax needs nothing across lanes
//   attention_rows   one query after another, lanes along the head: for few queries (decoding), and where the
//                    scores are wanted as an output
#pragma once

#include "cpu/call.h"
#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

// Element strides of [batch, head, position, column].
struct HeadStrides {
  int64_t batch, head, row, col;
};

enum AttentionMask : int32_t { kNoMask, kBoolMask, kFloatMask };

struct AttentionState {
  int64_t batch, q_heads, kv_heads, group, q_length, new_length, past_length, total, head_size, value_size;
  int64_t left_window, right_window, mask_length, key_block;
  HeadStrides q, k, v, past_k, past_v, mask, y;
  AttentionMask mask_kind;
  int32_t causal, scores_mode, wants_scores, lane_blocks, lane_vectors, left_over;
  float scale, softcap;
  int64_t worker_floats;
};

struct AttentionRun {
  const gk_call* call;
  const AttentionState* state;
  const float *q, *k, *v, *past_k, *past_v;
  const void* mask;
  const int64_t* lengths; // keys that are no padding, per batch; null: all
  float* y;
  float* scores;          // output 3 or null
  float* workspace;
};

// Some queries of one key head.
struct AttentionTask {
  int64_t batch, kv_head, first, count;
};

// Keys [begin, end) that lie in one tensor.
struct KeySegment {
  const float *k, *v;
  int64_t k_row, k_col, v_row, v_col, begin, end;
};

// The query head and position of query r of a task.
struct QueryPlace {
  int64_t head, position;
};

inline QueryPlace place_of(const AttentionState& s, const AttentionTask& task, int64_t r) {
  const int64_t query = task.first + r;
  return {task.kv_head * s.group + query / s.q_length, query % s.q_length};
}

// That of the query after.
inline QueryPlace next_place(const AttentionState& s, QueryPlace place) {
  return place.position + 1 < s.q_length ? QueryPlace{place.head, place.position + 1} : QueryPlace{place.head + 1, 0};
}

inline int64_t offset_of(const HeadStrides& strides, int64_t batch, QueryPlace place) {
  return batch * strides.batch + place.head * strides.head + place.position * strides.row;
}

// The first and last key the query sees as far as position alone decides; none where last < first.
struct KeyRange {
  int64_t first, last;
};

inline KeyRange range_of(const AttentionRun& run, int64_t batch, int64_t position) {
  const AttentionState& s = *run.state;
  KeyRange range = {0, s.total - 1};
  position += s.past_length;
  if (run.lengths != nullptr) {
    const int64_t length = run.lengths[batch];
    position += length - s.q_length - s.past_length;
    if (length - 1 < range.last) range.last = length - 1;
  }
  if (s.causal && position < range.last) range.last = position;
  if (s.right_window >= 0 && position + s.right_window < range.last) range.last = position + s.right_window;
  if (s.left_window >= 0 && position - s.left_window > range.first) range.first = position - s.left_window;
  if (s.mask_kind != kNoMask && s.mask_length - 1 < range.last) range.last = s.mask_length - 1;
  return range;
}

// The keys of a task's head: those of the past, then the new ones.
inline KeySegment segment_of(const AttentionRun& run, const AttentionTask& task, bool past) {
  const AttentionState& s = *run.state;
  const HeadStrides &k = past ? s.past_k : s.k, &v = past ? s.past_v : s.v;
  const float *keys = past ? run.past_k : run.k, *values = past ? run.past_v : run.v;
  return {keys + task.batch * k.batch + task.kv_head * k.head,
          values + task.batch * v.batch + task.kv_head * v.head,
          k.row,
          k.col,
          v.row,
          v.col,
          past ? 0 : s.past_length,
          past ? s.past_length : s.total};
}

// Floats of workspace that a worker needs.
int64_t attention_lanes_floats(const AttentionState& state);
int64_t attention_rows_floats(const AttentionState& state);

// `vectors` · kLanes lanes hold the task's queries.
void attention_lanes(const AttentionRun& run, const AttentionTask& task, int vectors, float* workspace);
void attention_rows(const AttentionRun& run, const AttentionTask& task, float* workspace);

}  // namespace GK_LEVEL
}  // namespace graphopt
