// Blocks of gemm_f32.h: ranges of k, panels of B, tiles of rows, in this order from the outside.
#include "cpu/lib/gemm_blocking.h"
#include "cpu/lib/gemm_f32_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

// A range of the depth: whole taps, or a part of one.
struct Range {
  int64_t tap, taps, k_first, k;
};

void set_finish(const GemmBlock& block, int64_t i, int64_t j, GemmTile* tile) {
  const GemmFinish& finish = block.finish;
  const int64_t row = block.row0 + i, col = block.col0 + j;
  tile->bias = finish.bias == nullptr ? nullptr : finish.bias + col;
  if (finish.addend != nullptr) {
    tile->addend = finish.addend + row * finish.addend_rows + col * finish.addend_cols;
  } else if (finish.epilogue != nullptr && finish.epilogue->form == kEpilogueAddClamp) {
    tile->addend = add_operand(*finish.epilogue, finish.call, finish.outer, row, col);
  }
}

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

// All tiles of one range of k.
void run_range(const GemmBlock& block, const Range& range, bool first, bool last) {
  const int64_t depth = block.taps * block.k;
  GemmTile tile = {};
  const bool epilogue_left = set_forms(block.finish, &tile) && last;
  tile.tap_step = block.tap_step;
  tile.taps = range.taps;
  tile.k = range.k;
  tile.k_first = range.k_first;
  tile.panel_step = depth * kGemmCols;
  tile.ldc = block.ldc;
  tile.first = first;
  tile.last = last;
  const int64_t tiles = (block.m + kGemmRows - 1) / kGemmRows;
  const int64_t b_row = range.tap * block.k + range.k_first;
  int64_t pending = 0;  // columns whose epilogue is left, up to j
  for (int64_t j = 0; j < block.n;) {
    const int64_t left = block.n - j;
    const int wide = gemm_tile_panels(static_cast<int>(tiles == 1 ? block.m : kGemmRows)) * kGemmCols;
    const bool narrow = left <= kGemmLanes;
    const int64_t width = left >= wide ? wide : narrow ? kGemmLanes : kGemmCols;
    tile.cols = left < width ? left : width;
    tile.b = block.b + gemm_panel_offset(depth, j) + b_row * (narrow ? kGemmLanes : kGemmCols);
    const GemmTileFunction* functions = left >= wide ? kGemmTilesWide : narrow ? kGemmTilesNarrow : kGemmTiles;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t i = block.m * t / tiles, rows = block.m * (t + 1) / tiles - i;
      tile.rows = block.rows + range.tap * block.tap_step + i;
      tile.c = block.c + i * block.ldc + j;
      if (last) set_finish(block, i, j, &tile);
      // Tiles of unlike heights may not take unlike numbers of panels.
      (tiles > 1 && functions == kGemmTilesWide ? kGemmTiles : functions)[rows - 1](tile);
    }
    j += tile.cols;
    if (epilogue_left && (j == block.n || (j - pending) * block.m >= kGemmEpilogueFloats)) {
      apply_epilogue(*block.finish.epilogue, block.finish.call, block.c + pending, block.ldc, block.finish.outer,
                     block.row0, block.m, block.col0 + pending, j - pending);
      pending = j;
    }
  }
}

}  // namespace

void gemm_block(const GemmBlock& block) {
  if (block.m <= 0 || block.n <= 0) return;
  const int64_t limit = gemm_depth_limit(block.finish.call);
  if (block.taps <= 0 || block.k <= 0) {
    run_range(block, {0, 0, 0, 0}, true, true);
  } else if (block.k <= limit) {
    const int64_t groups = (block.taps * block.k + limit - 1) / limit;
    const int64_t count = groups < block.taps ? groups : block.taps;
    for (int64_t g = 0; g < count; ++g) {
      const int64_t tap = block.taps * g / count;
      run_range(block, {tap, block.taps * (g + 1) / count - tap, 0, block.k}, g == 0, g == count - 1);
    }
  } else {
    const int64_t parts = (block.k + limit - 1) / limit;
    // Parts are multiples of a cache line, but for the last.
    const int64_t part = ((block.k + parts - 1) / parts + 15) / 16 * 16;
    for (int64_t tap = 0; tap < block.taps; ++tap) {
      for (int64_t k = 0; k < block.k; k += part) {
        const int64_t depth = block.k - k < part ? block.k - k : part;
        run_range(block, {tap, 1, k, depth}, tap == 0 && k == 0, tap == block.taps - 1 && k + depth == block.k);
      }
    }
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
