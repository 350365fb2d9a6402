// How attention of a batch is cut into blocks, and which of its spans are done side by side.
// Between pass.cpp and the kernels; results do not depend on it.
#pragma once

#include <algorithm>

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

struct AttendCut {
  std::uint32_t queries = 1;  // of a block, at most: rows of the output times heads of a KV head's group
  std::uint32_t rows = 1;
  std::uint32_t parts = 1;    // blocks that share a row's group
  std::uint32_t columns = 1;  // blocks that share head_dim
  std::uint32_t shared_bytes = 0;
};

// Kernels of every type find shared memory enough for it.
inline constexpr std::uint32_t most_head_dim = 512;
// Blocks that fill a device; with fewer, spans are done side by side, with partial results of as many queries
// as this in all.
inline constexpr std::uint64_t enough_blocks = 512, most_partials = 16384;

// `queries`: those of neighbouring rows of one sequence, or more.
template <KvType type>
AttendCut cut_attend(std::uint32_t group, std::uint32_t head_dim, std::uint64_t queries) {
  AttendCut cut;
  if constexpr (type == KvType::F32) {
    cut.queries = group == 1 || attend_floats_bytes(4, head_dim) > most_shared_bytes ? 1 : 4;
    cut.shared_bytes = static_cast<std::uint32_t>(attend_floats_bytes(cut.queries, head_dim));
  } else {
    const std::uint32_t of_more = attend_places<type, most_tiles<type>>(head_dim).bytes;
    const bool more = queries > 16 && of_more <= most_shared_bytes;
    cut.queries = more ? 16 * most_tiles<type> : 16;
    cut.rows = std::max(1u, cut.queries / group);
    cut.columns = (head_dim + attend_columns - 1) / attend_columns;
    cut.shared_bytes = more ? of_more : attend_places<type, 1>(head_dim).bytes;
  }
  cut.parts = (group + cut.queries - 1) / cut.queries;
  return cut;
}

// `blocks` is as many as take one span each of `queries` queries; 1: each block does all of its own.
inline std::uint32_t spans_together(std::uint64_t queries, std::uint64_t blocks, std::uint32_t n_spans) {
  if (blocks >= enough_blocks) return 1;
  const std::uint64_t most = std::max<std::uint64_t>(1, most_partials / queries);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(n_spans, most));
}

// MergeSpans::pieces: with a thread for each output of a tile.
inline std::uint32_t merge_pieces(const AttendShape& shape, bool is_last) {
  const std::uint32_t rows = std::min(shape.rows, shape.n_rows),
                      queries = shape.parts == 1 ? rows * shape.group : shape.queries;
  return is_last ? (queries * shape.head_dim + MergeSpans::threads - 1) / MergeSpans::threads : 1;
}

}  // namespace nibble::inline v0::cuda
