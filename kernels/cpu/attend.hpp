// Attention of a whole batch: which queries go together, and how the spans of a long past are merged.
// Between pass.cpp, which splits this over threads, and a tier's AttendKernel, which does one span.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "kernels/cpu/table.hpp"
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

std::uint64_t attend_scratch_bytes(const AttendKernel& kernel, const Args& args);

// One tile and one KV head.
struct AttendPart {
  const AttendKernel* kernel;
  KvType kv_type;
  const Args* args;
  std::size_t n_rows, kv_head;
  const float* q;  // (n_rows, n_heads, head_dim), at q_stride
  std::size_t q_stride;
  float* out;  // (n_rows, n_heads, head_dim), at out_stride
  std::size_t out_stride;
  const std::byte* pool;
  std::size_t page_bytes;
  const PageId* pages;
  std::size_t position;  // of the first row
  std::byte* scratch;    // attend_scratch_bytes
};

// Leaves `out` unfinished once `stop` is requested.
void attend(const AttendPart& part, const std::stop_token& stop);

}  // namespace nibble::inline v0::cpu
