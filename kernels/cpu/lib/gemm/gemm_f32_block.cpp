// Blocks of gemm_f32.h: ranges of k, panels of B, tiles of rows, in this order from the outside.
#include "cpu/lib/gemm/gemm_blocking.h"
#include "cpu/lib/gemm/gemm_f32_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int64_t kCacheLine = 64;
constexpr int64_t kFetchResultsDepth = 128;
constexpr int64_t kAheadBytes = 4096;

// A range of the depth: whole taps, or a part of one.
struct Range {
  int64_t tap = 0, taps = 0, k_first = 0, k = 0;
};

// The block while it is computed.
struct Progress {
  const GemmBlock* block;
  int64_t depth;               // taps · k
  const float* const* rows;    // of the current range's first tap
  int64_t k_first;             // where the range starts behind them
  bool epilogue_left;          // the forms that registers do not do
};

int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

// What is the same for all tiles; returns whether the epilogue is left to do on the finished block.
bool set_forms(const GemmFinish& finish, GemmTile* tile) {
  tile->alpha = finish.alpha;
  tile->addend_scale = finish.addend_scale;
  tile->addend_rows = finish.addend_rows;
  tile->addend_cols = finish.addend_cols;
  const Epilogue* epilogue = finish.epilogue;
  if (epilogue == nullptr || !epilogue_is_tiled(*epilogue) || epilogue->form == kEpilogueNone) return false;
  const bool adds = epilogue->form == kEpilogueAddClamp;
  if (epilogue->form != kEpilogueClamp && (!adds || finish.addend != nullptr)) return true;
  if (adds) {
    tile->addend_scale = 1.0f;
    tile->addend_rows = epilogue->operands[0].row_stride;
    tile->addend_cols = epilogue->operands[0].col_stride;
  }
  tile->low = epilogue->low;
  tile->high = epilogue->high;
  tile->clamp = tile->low > -__builtin_inff() || tile->high < __builtin_inff();
  return false;
}

// Where the operands of the finish lie for the tile whose first result is [i][j] of the block.
void set_operands(const GemmBlock& block, int64_t i, int64_t j, GemmTile* tile) {
  const GemmFinish& finish = block.finish;
  const int64_t row = block.row0 + i, col = block.col0 + j;
  tile->bias = finish.bias == nullptr ? nullptr : finish.bias + col;
  if (finish.addend != nullptr) {
    tile->addend = finish.addend + row * finish.addend_rows + col * finish.addend_cols;
  } else if (finish.epilogue != nullptr && finish.epilogue->form == kEpilogueAddClamp &&
             epilogue_is_tiled(*finish.epilogue)) {
    tile->addend = add_operand(*finish.epilogue, finish.call, finish.outer, row, col);
  }
}

// The widest tile for what is left of the columns, where the block has `m` rows.
GemmColumns choose_columns(int64_t m, int64_t left) {
  if (left <= kGemmLanes) return kGemmNarrow;
  if (left > kGemmCols && left <= kGemmCols + kGemmLanes) return kGemmOneAndNarrow;
  if (left >= 4 * kGemmCols && m <= gemm_most_rows(kGemmFour)) return kGemmFour;
  if (left >= 2 * kGemmCols && m <= gemm_most_rows(kGemmTwo)) return kGemmTwo;
  return kGemmOne;
}

// All row tiles of the columns from j on; `next` is what B is read after them.
void run_panel(const Progress& progress, GemmTile* tile, GemmColumns columns, int64_t j, const float* next) {
  const GemmBlock& block = *progress.block;
  const GemmTileFunction* functions = kGemmTiles[columns];
  const int64_t most = gemm_most_rows(columns), tiles = (block.m + most - 1) / most;
  // Several tiles share the next panel among them. A single one would have to run that far ahead of itself: it
  // fetches its own panel a little before it is needed, and the start of the next.
  const int64_t steps = tile->taps * (tile->k / kGemmUnroll);
  const int64_t bytes = tile->taps * tile->k * (columns == kGemmNarrow ? 1 : 2) * kVectorBytes;
  const int64_t share = next == nullptr && tiles > 1 ? 0 : bytes / tiles;
  tile->ahead_lines = steps == 0 ? 0 : (share / kCacheLine + steps - 1) / steps;
  const char* from = reinterpret_cast<const char*>(next);
  tile->ahead_then = tile->ahead_then_end = nullptr;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t i = block.m * t / tiles, rows = block.m * (t + 1) / tiles - i;
    tile->rows = progress.rows + i;
    tile->c = block.c + i * block.ldc + j;
    if (tiles > 1) {
      tile->ahead = from + t * share;
      tile->ahead_end = tile->ahead + share;
    } else {
      tile->ahead = reinterpret_cast<const char*>(tile->b) + at_most(kAheadBytes, bytes);
      tile->ahead_end = reinterpret_cast<const char*>(tile->b) + bytes;
      tile->ahead_then = from;
      tile->ahead_then_end = from == nullptr ? nullptr : from + kAheadBytes;
    }
    if (tile->last) set_operands(block, i, j, tile);
    functions[rows - 1](*tile);
  }
}

// One range of k; `next` is the panel read after the range.
void run_range(Progress& progress, const Range& range, bool first, bool last, const float* next) {
  const GemmBlock& block = *progress.block;
  GemmTile tile = {};
  progress.epilogue_left = set_forms(block.finish, &tile) && last;
  tile.tap_step = block.tap_step;
  tile.taps = range.taps;
  tile.k = range.k;
  tile.k_first = progress.k_first;
  tile.ldc = block.ldc;
  tile.first = first;
  tile.last = last;
  tile.fetch_results = range.taps * range.k >= kFetchResultsDepth;
  const int64_t first_row = range.tap * block.k + range.k_first, depth = range.taps * range.k;
  // Packing as we go: as many panels as the scratch holds at a time.
  const bool packs = block.pack.scratch != nullptr;
  const int64_t group =
      packs ? block.pack.scratch_floats / (depth < 1 ? 1 : depth) / kGemmCols * kGemmCols : block.n;
  int64_t finished = 0;  // columns that had their epilogue
  for (int64_t from = 0; from < block.n; from += group) {
    const int64_t end = at_most(from + group, block.n);
    const float* b = block.b;
    int64_t panel_rows = progress.depth;
    if (packs) {
      const float* source = block.pack.data + first_row * block.pack.k_stride + from * block.pack.other_stride;
      gemm_pack_b(source, block.pack.k_stride, block.pack.other_stride, depth, end - from, 0, depth,
                  block.pack.scratch);
      b = block.pack.scratch;
      panel_rows = depth;
    }
    tile.panel_step = panel_rows * kGemmCols;
    for (int64_t j = from; j < end; j += tile.cols) {
      const int64_t left = end - j;
      const GemmColumns columns = choose_columns(block.m, left);
      const int64_t width = gemm_vectors(columns) * kGemmLanes;
      tile.cols = at_most(left, width);
      const auto panel = [&](int64_t column) {
        const float* start = b + gemm_panel_offset(panel_rows, column - (packs ? from : 0));
        // The rows of the narrow panel are only one vector long.
        const bool narrow = end - column <= kGemmLanes;
        return packs ? start : start + first_row * (narrow ? kGemmLanes : kGemmCols);
      };
      tile.b = panel(j);
      tile.tail = columns == kGemmOneAndNarrow ? panel(j + kGemmCols) : nullptr;
      run_panel(progress, &tile, columns, j, packs ? nullptr : left > width ? panel(j + width) : next);
      const int64_t done = j + tile.cols;
      if (progress.epilogue_left && (done == block.n || (done - finished) * block.m >= kGemmEpilogueFloats)) {
        apply_epilogue(*block.finish.epilogue, block.finish.call, block.c + finished, block.ldc, block.finish.outer,
                       block.row0, block.m, block.col0 + finished, done - finished);
        finished = done;
      }
    }
  }
}

// Depth of a range. A panel of B stays in the first-level cache from tile to tile; where all rows are one tile it is
// read once, and only the rows have to stay.
int64_t depth_limit(const GemmBlock& block, int64_t depth) {
  const int64_t limit = gemm_depth_limit(block.finish.call);
  if (block.pack.scratch != nullptr || block.stage.scratch != nullptr) return limit;
  const bool once = block.m <= gemm_most_rows(choose_columns(block.m, block.n));
  return once && 2 * block.m * depth <= limit * kGemmCols ? depth : limit;
}

// Copies the range's part of A to the scratch where it cannot be read in place, or where the rows lie so that their
// lines fall into the same few sets of the cache.
void stage_rows(Progress& progress, const Range& range, const float** rows) {
  const GemmBlock& block = *progress.block;
  progress.rows = block.rows + range.tap * block.tap_step;
  progress.k_first = range.k_first;
  if (block.stage.scratch == nullptr || range.taps != 1) return;
  const int64_t ld = (range.k + 15) / 16 * 16 + 16;
  copy_matrix(block.stage.data + range.k_first * block.stage.k_stride, block.stage.other_stride, block.stage.k_stride,
              block.m, range.k, block.stage.scratch, ld);
  for (int64_t i = 0; i < block.m; ++i) rows[i] = block.stage.scratch + i * ld;
  progress.rows = rows;
  progress.k_first = 0;
}

}  // namespace

void gemm_block(const GemmBlock& block) {
  if (block.m <= 0 || block.n <= 0) return;
  Progress progress = {&block, block.taps * block.k, block.rows, 0, false};
  if (progress.depth <= 0) return run_range(progress, {}, true, true, nullptr);
  const float* staged[kGemmMostRows];
  const int64_t limit = depth_limit(block, progress.depth);
  // Whole taps together where they are short, equal parts of one tap where it is long: multiples of a cache line.
  const int64_t groups = at_most((progress.depth + limit - 1) / limit, block.taps);
  const int64_t parts = (block.k + limit - 1) / limit, part = ((block.k + parts - 1) / parts + 15) / 16 * 16;
  Range range = {0, parts == 1 ? block.taps / groups : 1, 0, parts == 1 ? block.k : part};
  for (int64_t g = 1; range.tap < block.taps;) {
    Range next = range;
    if (parts == 1) {
      next.tap += range.taps;
      next.taps = block.taps * (g + 1) / groups - next.tap;
      ++g;
    } else {
      next.k_first += range.k;
      if (next.k_first >= block.k) next.k_first = 0, ++next.tap;
      next.k = at_most(part, block.k - next.k_first);
    }
    stage_rows(progress, range, staged);
    const bool last = next.tap >= block.taps;
    const int64_t next_row = last ? 0 : next.tap * block.k + next.k_first;
    const float* after = last ? block.next : block.b + next_row * kGemmCols;
    run_range(progress, range, range.tap == 0 && range.k_first == 0, last, after);
    range = next;
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
