// Attention of a whole batch: which queries go together, which spans of their past go to which thread, and
// how spans are merged. Between pass.cpp and a tier's AttendKernel, which does one span of one tile.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "kernels/cpu/table.hpp"
#include "kernels/cpu/threads.hpp"
#include "nibble/backend/backend.hpp"

namespace nibble::inline v0::cpu {

// Consecutive rows of the output that belong to consecutive positions of one sequence.
struct AttendTile {
  std::uint32_t row = 0, n_rows = 0;
  std::uint32_t token = 0;  // of the first row
};

// Cuts a batch's rows into tiles of at most as many rows as the kernel takes. `tiles` has room for one a row.
void cut_tiles(const Batch& batch, Rows rows, const AttendKernel& kernel, const Args& args,
               std::vector<AttendTile>& tiles);

// A thread's scratch, and what threads share.
std::uint64_t attend_scratch_bytes(const AttendKernel& kernel, const Args& args);
std::uint64_t attend_shared_bytes(const AttendKernel& kernel, const Args& args, std::uint32_t threads);

struct AttendStep {
  const AttendKernel* kernel;
  KvType kv_type;
  const Args* args;
  const Batch* batch;
  std::span<const AttendTile> tiles;
  Rows q_rows;
  const float* q;  // (q_rows, n_heads, head_dim), at q_stride
  std::size_t q_stride;
  float* out;  // (rows that were cut, n_heads, head_dim), at out_stride
  std::size_t out_stride;
  const float* sinks;  // (n_heads), or null: a score for each head beside those of its keys, with no value
  const std::byte* pool;
  std::size_t page_bytes;
  std::byte* scratch;  // one for each thread, at scratch_stride
  std::size_t scratch_stride;
  std::byte* shared;
};

// Leaves `out` unfinished once `stop` is requested.
void attend(const AttendStep& step, ThreadPool& pool, const std::stop_token& stop);

}  // namespace nibble::inline v0::cpu
