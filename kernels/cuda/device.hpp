// The thin layer that kernels are written against: CUDA's own operations under nvcc, and under any other
// compiler the emulator's twins of the same names. Below every kernel; kernels name nothing of CUDA itself.
//
// A kernel is a struct that can be copied byte by byte. Its members are its parameters, `threads` the size of
// its blocks (a multiple of warp_size, at most 1024), and its call operator what one thread does:
//
//   struct Add {
//     static constexpr std::uint32_t threads = 256;
//     const float *a, *b;
//     float* out;
//     NIBBLE_DEVICE void operator()() const { ... device::thread() ... }
//   };
//
// Products and sums are rounded one by one, here and there (-fmad=false, -ffp-contract=off): what is to be
// fused says fma(), so that the emulator computes the bits that the device does, but for exp, tanh, sin, cos.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define NIBBLE_DEVICE __device__ __forceinline__
#define NIBBLE_UNROLL _Pragma("unroll")
#else
#include "kernels/cuda/emulator.hpp"
#define NIBBLE_DEVICE inline
#define NIBBLE_UNROLL
#endif

namespace nibble::inline v0::cuda::device {

inline constexpr std::uint32_t warp_size = 32;

// Eight and sixteen bytes, each loaded and stored as one; aligned to their size.
struct alignas(8) Words2 {
  std::uint32_t x, y;
};
struct alignas(16) Words4 {
  std::uint32_t x, y, z, w;
};

#ifdef __CUDACC__

// Where this thread is: in its block (x alone), its block in the grid, and how many blocks there are.
NIBBLE_DEVICE std::uint32_t thread() { return threadIdx.x; }
NIBBLE_DEVICE std::uint32_t block_x() { return blockIdx.x; }
NIBBLE_DEVICE std::uint32_t block_y() { return blockIdx.y; }
NIBBLE_DEVICE std::uint32_t blocks_x() { return gridDim.x; }

// The block's shared memory, as much as its launch asked for; undefined at first, 128-byte aligned.
NIBBLE_DEVICE std::byte* shared() {
  extern __shared__ __align__(128) unsigned char memory[];
  return reinterpret_cast<std::byte*>(memory);
}

// All threads of the block, or of the warp, meet. Exited threads are not waited for by the first.
NIBBLE_DEVICE void sync_block() { __syncthreads(); }
NIBBLE_DEVICE void sync_warp() { __syncwarp(); }

// On devices that begin a launch before the last has ended (compute capability 9.0): waits until all launches
// before this one are done and seen; and lets the next begin, up to its own wait.
NIBBLE_DEVICE void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
NIBBLE_DEVICE void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// What another lane of the warp has. All 32 lanes take part.
template <class T>
NIBBLE_DEVICE T shuffle_xor(T value, std::uint32_t mask) {
  return __shfl_xor_sync(~0u, value, static_cast<int>(mask));
}
template <class T>
NIBBLE_DEVICE T shuffle(T value, std::uint32_t lane) {
  return __shfl_sync(~0u, value, static_cast<int>(lane));
}

NIBBLE_DEVICE float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
NIBBLE_DEVICE float exp(float x) { return ::expf(x); }
NIBBLE_DEVICE float tanh(float x) { return ::tanhf(x); }
NIBBLE_DEVICE double exp(double x) { return ::exp(x); }
NIBBLE_DEVICE float sqrt(float x) { return __fsqrt_rn(x); }
NIBBLE_DEVICE double sin(double x) { return ::sin(x); }
NIBBLE_DEVICE double cos(double x) { return ::cos(x); }
NIBBLE_DEVICE float abs(float x) { return ::fabsf(x); }
NIBBLE_DEVICE float max(float a, float b) { return ::fmaxf(a, b); }
NIBBLE_DEVICE float min(float a, float b) { return ::fminf(a, b); }
// To the nearest, of two equally near the even one.
NIBBLE_DEVICE int round(float x) { return __float2int_rn(x); }

NIBBLE_DEVICE std::uint32_t bits_of(float x) { return __float_as_uint(x); }
NIBBLE_DEVICE float float_of(std::uint32_t bits) { return __uint_as_float(bits); }
NIBBLE_DEVICE float half_to_float(std::uint16_t h) { return __half2float(__ushort_as_half(h)); }
NIBBLE_DEVICE std::uint16_t float_to_half(float x) { return __half_as_ushort(__float2half_rn(x)); }

// Two halves in a word, the first in the low bits; each rounded by itself.
NIBBLE_DEVICE __half2 as_half2(std::uint32_t word) { return *reinterpret_cast<const __half2*>(&word); }
NIBBLE_DEVICE std::uint32_t as_word(__half2 pair) { return *reinterpret_cast<const std::uint32_t*>(&pair); }
NIBBLE_DEVICE std::uint32_t pack_halves(float low, float high) {
  return as_word(__floats2half2_rn(low, high));
}
NIBBLE_DEVICE float low_half(std::uint32_t word) { return __low2float(as_half2(word)); }
NIBBLE_DEVICE float high_half(std::uint32_t word) { return __high2float(as_half2(word)); }
NIBBLE_DEVICE std::uint32_t add_halves(std::uint32_t a, std::uint32_t b) {
  return as_word(__hadd2_rn(as_half2(a), as_half2(b)));
}
NIBBLE_DEVICE std::uint32_t multiply_halves(std::uint32_t a, std::uint32_t b) {
  return as_word(__hmul2_rn(as_half2(a), as_half2(b)));
}
NIBBLE_DEVICE std::uint32_t fma_halves(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return as_word(__hfma2(as_half2(a), as_half2(b), as_half2(c)));
}

// The same of bfloat16.
NIBBLE_DEVICE std::uint32_t pack_bf16s(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
NIBBLE_DEVICE std::uint32_t subtract_bf16s(std::uint32_t a, std::uint32_t b) {
  std::uint32_t result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(b), "r"(0xbf80bf80u), "r"(a));
  return result;
}

// c + the dot product of four signed bytes.
NIBBLE_DEVICE int dot4(int a, int b, int c) { return __dp4a(a, b, c); }

// (x & mask) | bits as one instruction; of two constants the compiler would make two.
NIBBLE_DEVICE std::uint32_t and_or(std::uint32_t x, std::uint32_t mask, std::uint32_t bits) {
  std::uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(x), "r"(mask), "r"(bits));
  return result;
}

// Byte n of the result is byte s of b:a, lowest first, s the lowest three bits of nibble n of `selector`.
NIBBLE_DEVICE std::uint32_t choose_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  return __byte_perm(a, b, selector);
}

// c += a b on the tensor cores, by one warp: a (16, 16) and b (16, 8) halves, c (16, 8) float. Of lane l,
// with r = l / 4 and q = 2 (l % 4):
//   a[0] = A[r][q, q+1]  a[1] = A[r+8][q, q+1]  a[2] = A[r][q+8, q+9]  a[3] = A[r+8][q+8, q+9]
//   b[0] = B[q, q+1][r]  b[1] = B[q+8, q+9][r]
//   c[0], c[1] = C[r][q, q+1]  c[2], c[3] = C[r+8][q, q+1]
NIBBLE_DEVICE void multiply_tile(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same of bfloat16 operands.
NIBBLE_DEVICE void multiply_tile_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// As multiply_tile with c = a b.
NIBBLE_DEVICE void begin_tile(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%10,%10,%10};"
      : "=f"(c[0]), "=f"(c[1]), "=f"(c[2]), "=f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(0.0f));
}

// The same of half as many columns: a (16, 8) and b (8, 8). a[0] = A[r][q, q+1]  a[1] = A[r+8][q, q+1]
// b = B[q, q+1][r]
NIBBLE_DEVICE void begin_narrow_tile(float (&c)[4], const std::uint32_t (&a)[2], std::uint32_t b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%7,%7,%7,%7};"
               : "=f"(c[0]), "=f"(c[1]), "=f"(c[2]), "=f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(b), "f"(0.0f));
}

NIBBLE_DEVICE Words4 load_words4(const void* p) {
  const uint4 v = *static_cast<const uint4*>(p);
  return {v.x, v.y, v.z, v.w};
}
NIBBLE_DEVICE void store_words4(void* p, const Words4& words) {
  *static_cast<uint4*>(p) = make_uint4(words.x, words.y, words.z, words.w);
}
NIBBLE_DEVICE Words2 load_words2(const void* p) {
  const uint2 v = *static_cast<const uint2*>(p);
  return {v.x, v.y};
}
NIBBLE_DEVICE void store_words2(void* p, const Words2& words) {
  *static_cast<uint2*>(p) = make_uint2(words.x, words.y);
}
NIBBLE_DEVICE std::uint32_t load_word(const void* p) { return *static_cast<const std::uint32_t*>(p); }
NIBBLE_DEVICE bool is_aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }
// Of what is read once and need not stay in a cache.
NIBBLE_DEVICE Words4 load_words4_once(const void* p) {
  const uint4 v = __ldcs(static_cast<const uint4*>(p));
  return {v.x, v.y, v.z, v.w};
}
NIBBLE_DEVICE Words2 load_words2_once(const void* p) {
  const uint2 v = __ldcs(static_cast<const uint2*>(p));
  return {v.x, v.y};
}
NIBBLE_DEVICE std::uint32_t load_word_once(const void* p) {
  return __ldcs(static_cast<const unsigned int*>(p));
}

// Sixteen bytes from global to shared memory in the background: seen by this thread once all but the `left`
// youngest groups of its copies are waited for, by others after a barrier then.
NIBBLE_DEVICE void copy_async16(void* shared_memory, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory))),
               "l"(global));
}
// The same, or sixteen bytes of zeros, for which nothing is read.
NIBBLE_DEVICE void copy_async16_or_zero(void* shared_memory, const void* global, bool copy) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory))),
               "l"(global), "r"(copy ? 16 : 0));
}
NIBBLE_DEVICE void end_copy_group() { asm volatile("cp.async.commit_group;"); }
template <int left>
NIBBLE_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

#else

using emulator::block_x, emulator::block_y, emulator::blocks_x, emulator::thread;
using emulator::sync_block, emulator::sync_warp;

// Launches are done one after the other here.
inline void wait_for_previous() {}

inline std::byte* shared() { return emulator::shared(); }

template <class T>
T shuffle(T value, std::uint32_t lane) {
  return emulator::exchange(value)[lane % warp_size];
}
template <class T>
T shuffle_xor(T value, std::uint32_t mask) {
  return emulator::exchange(value)[(thread() ^ mask) % warp_size];
}

inline float fma(float a, float b, float c) { return std::fma(a, b, c); }
inline float exp(float x) { return std::exp(x); }
inline float tanh(float x) { return std::tanh(x); }
inline double exp(double x) { return std::exp(x); }
inline float sqrt(float x) { return std::sqrt(x); }
inline double sin(double x) { return std::sin(x); }
inline double cos(double x) { return std::cos(x); }
inline float abs(float x) { return std::fabs(x); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline int round(float x) { return static_cast<int>(std::nearbyint(x)); }

inline std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }
inline float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }
inline float half_to_float(std::uint16_t h) { return f16_to_f32(h); }
inline std::uint16_t float_to_half(float x) { return f32_to_f16(x); }

inline float low_half(std::uint32_t word) { return f16_to_f32(static_cast<std::uint16_t>(word)); }
inline float high_half(std::uint32_t word) { return f16_to_f32(static_cast<std::uint16_t>(word >> 16)); }
inline std::uint32_t pack_halves(float low, float high) {
  return f32_to_f16(low) | static_cast<std::uint32_t>(f32_to_f16(high)) << 16;
}
// A float holds the sum and the product of two halves well enough to be rounded once more; of a product and
// a sum only a double does.
inline std::uint32_t add_halves(std::uint32_t a, std::uint32_t b) {
  return pack_halves(low_half(a) + low_half(b), high_half(a) + high_half(b));
}
inline std::uint32_t multiply_halves(std::uint32_t a, std::uint32_t b) {
  return pack_halves(low_half(a) * low_half(b), high_half(a) * high_half(b));
}
inline std::uint32_t fma_halves(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  const auto one = [](double x, double y, double z) { return emulator::round_to_half(x * y + z); };
  return one(low_half(a), low_half(b), low_half(c)) |
         static_cast<std::uint32_t>(one(high_half(a), high_half(b), high_half(c))) << 16;
}

inline std::uint32_t pack_bf16s(float low, float high) {
  return f32_to_bf16(low) | static_cast<std::uint32_t>(f32_to_bf16(high)) << 16;
}
inline std::uint32_t subtract_bf16s(std::uint32_t a, std::uint32_t b) {
  return pack_bf16s(float_of(a << 16) - float_of(b << 16),
                    float_of(a & 0xffff0000u) - float_of(b & 0xffff0000u));
}

inline int dot4(int a, int b, int c) {
  for (int i = 0; i < 32; i += 8) c += static_cast<std::int8_t>(a >> i) * static_cast<std::int8_t>(b >> i);
  return c;
}

inline std::uint32_t and_or(std::uint32_t x, std::uint32_t mask, std::uint32_t bits) {
  return (x & mask) | bits;
}
inline std::uint32_t choose_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  const std::uint64_t both = a | static_cast<std::uint64_t>(b) << 32;
  std::uint32_t chosen = 0;
  for (std::uint32_t n = 0; n < 4; ++n)
    chosen |= static_cast<std::uint32_t>(both >> 8 * (selector >> 4 * n & 7) & 255) << 8 * n;
  return chosen;
}

// The device adds in an order and a precision of its own; this does in double.
template <class Low, class High>
void multiply_tile_of(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], Low low,
                      High high) {
  struct Fragments {
    float a[4][2], b[2][2];
  };
  Fragments mine;
  for (std::uint32_t i = 0; i < 4; ++i) mine.a[i][0] = low(a[i]), mine.a[i][1] = high(a[i]);
  for (std::uint32_t i = 0; i < 2; ++i) mine.b[i][0] = low(b[i]), mine.b[i][1] = high(b[i]);
  const Fragments* of_lane = emulator::exchange(mine);
  const std::uint32_t lane = thread() % warp_size;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::uint32_t row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
    double sum = 0;
    for (std::uint32_t k = 0; k < 16; ++k) {
      const std::uint32_t quad = k % 8 / 2;
      sum += double{of_lane[row % 8 * 4 + quad].a[row / 8 + 2 * (k / 8)][k % 2]} *
             of_lane[column * 4 + quad].b[k / 8][k % 2];
    }
    c[i] = static_cast<float>(c[i] + sum);
  }
}
inline void multiply_tile(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  multiply_tile_of(c, a, b, low_half, high_half);
}
inline void multiply_tile_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  multiply_tile_of(
      c, a, b, [](std::uint32_t word) { return float_of(word << 16); },
      [](std::uint32_t word) { return float_of(word & 0xffff0000u); });
}

inline void begin_tile(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  for (float& x : c) x = 0;
  multiply_tile(c, a, b);
}

inline void begin_narrow_tile(float (&c)[4], const std::uint32_t (&a)[2], std::uint32_t b) {
  begin_tile(c, {a[0], a[1], 0, 0}, {b, 0});
}

inline Words4 load_words4(const void* p) { return *static_cast<const Words4*>(emulator::aligned(p, 16)); }
inline void store_words4(void* p, const Words4& words) {
  *static_cast<Words4*>(const_cast<void*>(emulator::aligned(p, 16))) = words;
}
inline Words2 load_words2(const void* p) { return *static_cast<const Words2*>(emulator::aligned(p, 8)); }
inline void store_words2(void* p, const Words2& words) {
  *static_cast<Words2*>(const_cast<void*>(emulator::aligned(p, 8))) = words;
}
inline std::uint32_t load_word(const void* p) {
  return *static_cast<const std::uint32_t*>(emulator::aligned(p, 4));
}
inline bool is_aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }
inline Words4 load_words4_once(const void* p) { return load_words4(p); }
inline Words2 load_words2_once(const void* p) { return load_words2(p); }
inline std::uint32_t load_word_once(const void* p) { return load_word(p); }

inline void copy_async16(void* shared_memory, const void* global) {
  emulator::copy_async(const_cast<void*>(emulator::aligned(shared_memory, 16)),
                       emulator::aligned(global, 16));
}
inline void copy_async16_or_zero(void* shared_memory, const void* global, bool copy) {
  static constexpr std::byte zeros[16] = {};
  emulator::copy_async(const_cast<void*>(emulator::aligned(shared_memory, 16)),
                       copy ? emulator::aligned(global, 16) : zeros);
}
inline void end_copy_group() { emulator::end_copy_group(); }
template <int left>
void wait_copies() {
  emulator::wait_copies(left);
}

#endif

}  // namespace nibble::inline v0::cuda::device
