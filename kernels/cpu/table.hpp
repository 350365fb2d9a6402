// What a CPU tier provides: kernels per packed family, attention, and the float operations, as plain function
// pointers. Between the CPU backend, which is the same for every tier, and kernels/cpu/<tier>/, compiled with
// that tier's flags. No function here throws or allocates; whatever it needs is passed in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/model/plan.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cpu {

// A matrix of weights as its kernel keeps it.
struct Matrix {
  const Format* format;
  std::size_t rows, cols;
  const std::byte* bytes;  // packed, 64-byte aligned; the file's own bytes where the kernel does not pack
};

// Rows [row_begin, row_end) of a matrix, to be packed: multiples of row_tile, but for the matrix's end.
struct PackJob {
  Matrix matrix;  // bytes: as they lie in the file
  std::size_t row_begin, row_end;
  std::byte* packed;  // the whole packed matrix; other jobs write other rows' parts of it
};

// Float rows in the form a matmul reads. Kernels that share a form (by address) share the converted rows.
struct ActivationForm {
  std::size_t (*bytes)(std::size_t cols);  // of one row; a multiple of 64
  void (*convert)(const float* in, std::size_t cols, std::byte* out);
};

// out[t][r] = sum over k of weight[r][k] * activation[t][k], for rows [row_begin, row_end) of one matrix.
struct MatmulJob {
  Matrix matrix;
  std::size_t row_begin, row_end;  // multiples of row_tile, but for the matrix's end
  const std::byte* activations;    // (n_tokens, form->bytes(cols)), 64-byte aligned
  std::size_t n_tokens;
  float* out;  // out[t * out_stride + r]
  std::size_t out_stride;
  std::byte* scratch;  // scratch_bytes, this thread's own, 64-byte aligned
};

// One family's matmul. Each output is one chain over k in one order, whatever n_tokens and the row range.
struct MatmulKernel {
  const char* name;        // "portable", "codes4/avx2"
  std::size_t row_tile;    // rows that are packed, and run, together
  std::size_t token_tile;  // tokens that a job has at best: enough to pay for reading the weights
  // Of a whole matrix. Null, like `pack`: runs on the file's own bytes.
  std::size_t (*packed_bytes)(const Format&, std::size_t rows, std::size_t cols);
  void (*pack)(const PackJob&);
  // One row of the matrix, decoded exactly: what embed reads.
  void (*decode_row)(const Matrix&, std::size_t row, float* out);
  const ActivationForm* form;
  std::size_t (*scratch_bytes)(std::size_t cols);
  void (*run)(const MatmulJob&);
};

// A span of positions is what attention reduces on its own; spans are then merged in order. Fixed, so that
// one thread walking them all and one thread for each give the same bits.
inline constexpr std::size_t attend_span = 1024;

// One span's share of attention, for consecutive tokens of a sequence and one KV head, that is, for the
// n_heads / n_kv_heads query heads that share it: each key and value is loaded once for all of them. Token i
// is at `position` + i and sees the positions of [begin, end) that its window and its own position allow:
//   score = scale * q k^T, then softcap * tanh(. / softcap)
//   max = largest score, sum = sum of exp(score - max), out = sum of exp(score - max) * v
// Pages are walked in order; a result depends on positions alone, not on the other tokens or on unused slots
// of a page. Where a token sees nothing, sum is 0 and the rest is undefined.
struct AttendJob {
  KvType kv_type;
  std::size_t n_tokens, group, head_dim;
  const float* q;  // (group, head_dim) at q + i * q_stride
  std::size_t q_stride;
  float* out;             // (n_tokens, group, head_dim)
  float *max, *sum;       // (n_tokens, group)
  const std::byte* pool;  // page p begins at pool + p * page_bytes
  std::size_t page_bytes;
  const PageId* pages;           // pages[n] holds positions [n * kv_page_size, (n + 1) * kv_page_size)
  std::size_t keys, values;      // bytes from a page's begin to this head's (kv_page_size, head_dim)
  std::size_t begin, end;        // within one span
  std::size_t position, window;  // window 0: none
  float scale, softcap;          // softcap 0: none
  std::byte* scratch;            // scratch_bytes, this thread's own, 64-byte aligned
};

struct AttendKernel {
  std::size_t max_queries;  // n_tokens * group of a job, but for n_tokens 1
  std::size_t (*scratch_bytes)(std::size_t queries, std::size_t head_dim);
  void (*run)(const AttendJob&);
  // One head's key or value at one position, into the cache's element type.
  void (*store)(KvType, const float* in, std::size_t head_dim, std::byte* out);
};

// Float operations; `out` may be an input.
struct FloatKernels {
  void (*norm)(const float* in, const float* weight, float* out, std::size_t n, float eps);
  // One head: pair j turned by (cos[j], sin[j]).
  void (*rope)(float* head, const float* cos, const float* sin, std::size_t pairs, RopePairs layout);
  void (*gate)(const float* gate, const float* up, float* out, std::size_t n, Activation);
  void (*add)(const float* a, const float* b, float* out, std::size_t n);
  // What follows a matmul, in place: (x + bias) * scale, then softcap * tanh(. / softcap). No bias: null;
  // no soft-cap: 0.
  void (*finish)(float* x, const float* bias, std::size_t n, float scale, float softcap);
};

// A null entry, here or in `floats`, is inherited from `portable`, the last tier of the list.
struct KernelTable {
  const char* tier;
  // The kernel for matrices of this format and shape; null (the function or its result): portable's.
  const MatmulKernel* (*matmul)(const Format&, std::size_t rows, std::size_t cols);
  const AttendKernel* attend;
  const FloatKernels* floats;
};

}  // namespace nibble::inline v0::cpu
