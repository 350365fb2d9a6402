// What a CPU tier provides: kernels per packed family, attention, and the float operations, as plain function
// pointers. Between the CPU backend, which is the same for every tier, and kernels/cpu/<tier>/, compiled with
// that tier's flags.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/model/plan.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cpu {

// A matrix to be packed: rows as they lie in the file.
struct PackJob {
  const Format* format;
  const std::byte* rows;  // (n_rows, row bytes of cols)
  std::size_t n_rows;
  std::size_t cols;
  std::byte* out;  // packed_bytes(*format, n_rows, cols), 64-byte aligned
};

// out[t][r] = sum over k of weight[r][k] * activation[t][k], for rows [row_begin, row_end) of one matrix.
struct MatmulJob {
  const Format* format;
  const std::byte* weights;  // packed; the file's own bytes where `pack` is null
  std::size_t rows, cols;
  std::size_t row_begin, row_end;  // a multiple of row_tile, but for the matrix's end
  const std::byte* activations;    // (n_tokens, activation_bytes)
  std::size_t n_tokens;
  float* out;  // out[t * out_stride + r]
  std::size_t out_stride;
  std::byte* scratch;  // scratch_bytes, this thread's own
};

// One family's matmul. Each output is one chain over k in one order, whatever n_tokens and the row range.
struct MatmulKernel {
  const char* name;      // "portable", "codes4"
  std::size_t row_tile;  // rows that are packed, and run, together
  // Null: runs on the file's own bytes. `pack` may be called for any multiple of row_tile rows at a time.
  std::size_t (*packed_bytes)(const Format&, std::size_t rows, std::size_t cols);
  void (*pack)(const PackJob&);
  // One token row of float activations in the form `run` reads.
  std::size_t (*activation_bytes)(std::size_t cols);
  void (*quantise)(const float* in, std::size_t cols, std::byte* out);
  std::size_t (*scratch_bytes)(std::size_t cols, std::size_t n_tokens);
  void (*run)(const MatmulJob&);
};

// Attention of one token and one KV head, that is, of the n_heads / n_kv_heads query heads that share it.
struct AttendJob {
  KvType kv_type;
  const float* q;  // (group, head_dim)
  float* out;      // (group, head_dim)
  std::size_t group;
  std::size_t head_dim;
  const std::byte* const* keys;  // per page from first_page on: (kv_page_size, head_dim) of this head
  const std::byte* const* values;
  std::size_t first_page;  // page number of keys[0]
  std::size_t begin, end;  // positions [begin, end) are seen
  float scale, softcap;
  float* scratch;  // attend_scratch floats, this thread's own
};

// A null entry is inherited from `portable`, the last tier of every list.
struct KernelTable {
  const char* tier;
  const MatmulKernel* matmul[6];                                           // by Family
  std::size_t (*attend_scratch)(std::size_t group, std::size_t head_dim);  // floats
  void (*attend)(const AttendJob&);
  // Rows of keys or values (n = elements of one position and head) to and from the cache's element type.
  void (*store_kv)(KvType, const float* in, std::size_t n, std::byte* out);
  // In place or not; (n) floats unless said otherwise.
  void (*norm)(const float* in, const float* weight, float* out, std::size_t n, float eps);
  // One head, `pairs` cos and sin.
  void (*rope)(float* head, const float* cos, const float* sin, std::size_t pairs, RopePairs layout);
  void (*gate)(const float* gate, const float* up, float* out, std::size_t n, Activation);
  void (*add)(const float* a, const float* b, float* out, std::size_t n);
};

}  // namespace nibble::inline v0::cpu
