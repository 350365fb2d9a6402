// What compute capability 9.0 adds to device.hpp: products by four warps at once from shared memory (wgmma),
// copies of any length in the background, and barriers in shared memory that count their bytes.
// Below matmul_by_warpgroups.hpp. Facts: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions",
// "mbarrier" and "cp.async.bulk".
//
// Under nvcc it does something in code for sm_90a alone: for other targets no kernel that uses it is
// compiled.
#pragma once

#include "kernels/cuda/device.hpp"
#ifndef __CUDACC__
#include "kernels/cuda/emulator_warpgroup.hpp"
#endif

namespace nibble::inline v0::cuda::device {

#if !defined(__CUDACC__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool has_warpgroups = true;
#else
inline constexpr bool has_warpgroups = false;
#endif

// Four warps that follow each other, from one whose number is a multiple of four.
inline constexpr std::uint32_t warpgroup_size = 4 * warp_size;

// Phases that follow each other, each over once it has had as many arrivals as were asked for and all the
// bytes that were announced. In shared memory, 8-byte aligned.
using Barrier = std::uint64_t;

// Columns of b in one product, floats of it that a thread has.
inline constexpr std::uint32_t product_cols = 64, product_floats = product_cols / 2;

// Halves in shared memory, in pieces of eight rows x 16 bytes, which are 128 bytes that follow each other:
// `along_k` bytes from a piece to that of the next eight halves of its rows, `along_rows` to that of the next
// eight rows. All multiples of 16. Not swizzled: a piece meets every bank once.
template <std::uint32_t along_k, std::uint32_t along_rows>
struct SharedOperand {
  static_assert(along_k % 16 == 0 && along_rows % 16 == 0 && along_k < 1u << 18 && along_rows < 1u << 18);
  // As the instruction takes them, in units of 16 bytes: the address from bit 0, along_k ("leading dimension
  // byte offset") from bit 16, along_rows ("stride dimension byte offset") from bit 32; swizzling, from bit
  // 62, is none.
  std::uint64_t descriptor;

  NIBBLE_DEVICE static SharedOperand at(std::uint32_t address) {
    return {std::uint64_t{along_rows / 16} << 32 | along_k / 16 << 16 | (address & 0x3ffffu) / 16};
  }
  NIBBLE_DEVICE SharedOperand further(std::uint32_t bytes) const { return {descriptor + bytes / 16}; }
};

#ifdef __CUDACC__

NIBBLE_DEVICE std::uint32_t shared_address(const void* shared_memory) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory));
}

// By one thread, before fence_async() and a sync_block().
NIBBLE_DEVICE void begin_barrier(Barrier* barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
}
// What this thread has stored in shared memory, barriers too, is seen by copies and products after a barrier:
// they are of the asynchronous proxy.
NIBBLE_DEVICE void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

NIBBLE_DEVICE void arrive(Barrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
// The same, and announces bytes that copies will bring in this phase.
NIBBLE_DEVICE void arrive_and_expect(Barrier* barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(bytes)
               : "memory");
}
// Until the phase of this parity is over: the first is of parity 0, and the one before it counts as over.
// After four seconds the launch ends with an error; on trial, the thread alone.
NIBBLE_DEVICE void wait(Barrier* barrier, std::uint32_t parity, bool on_trial = false) {
  asm volatile(
      "{\n"
      ".reg .pred over, early, trial;\n"
      ".reg .b64 begin, now;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
      "@over bra done;\n"
      "mov.u64 begin, %%globaltimer;\n"
      "again:\n"
      "mov.u64 now, %%globaltimer;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
      "@over bra done;\n"
      "sub.u64 now, now, begin;\n"
      "setp.lt.u64 early, now, 4000000000;\n"
      "@early bra again;\n"
      "setp.ne.u32 trial, %2, 0;\n"
      "@trial exit;\n"
      "trap;\n"
      "done:\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity), "r"(on_trial ? 1 : 0)
      : "memory");
}

// How many registers each thread of this warpgroup goes on with, of the 168 that blocks of 384 threads begin
// with: fewer, given back; or more, waited for.
template <int n>
NIBBLE_DEVICE void keep_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
}
template <int n>
NIBBLE_DEVICE void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
}

// Bytes from global to shared memory in the background, which the barrier counts; addresses and length are
// multiples of 16.
NIBBLE_DEVICE void copy_bulk(void* shared_memory, const void* global, std::uint32_t bytes, Barrier* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
          shared_address(shared_memory)),
      "l"(global), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

// d (64, 64) = a b in the background, by a warpgroup: a (64, 16 n) from registers, where warp w of it has
// rows 16 w to 16 w + 15 as multiply_tile's `a`, operand by operand; b (16 n, 64), of which 16 rows follow
// `b` each `b_step` bytes. Of lane l, d[4 j + i] is c[i] of multiply_tile for columns 8 j on. Neither d nor a
// is to be touched until this is waited for, and b is to stay.
template <std::uint32_t b_step, std::uint32_t n, class Operand>
NIBBLE_DEVICE void begin_product(float (&d)[product_floats], const std::uint32_t (&a)[n][4], Operand b) {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  NIBBLE_UNROLL
  for (std::uint32_t i = 0; i < n; ++i) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.ne.b32 adds, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31},"
        "{%32,%33,%34,%35},%36,adds,1,1,0;\n"
        "}"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
          "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]),
          "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]),
          "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]),
          "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "l"(b.further(i * b_step).descriptor),
          "r"(i == 0 ? 0 : 1));
  }
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until all but the `left` youngest products are done, of which d is the oldest.
template <int left>
NIBBLE_DEVICE void wait_product(float (&d)[product_floats]) {
  asm volatile("wgmma.wait_group.sync.aligned %32;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
                 "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
                 "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
                 "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
                 "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
               : "n"(left)
               : "memory");
}

#else

inline std::uint32_t shared_address(const void* shared_memory) {
  return static_cast<std::uint32_t>(static_cast<const std::byte*>(shared_memory) - shared());
}

using emulator::arrive, emulator::begin_barrier, emulator::copy_bulk;
inline void fence_async() {}
inline void arrive_and_expect(Barrier* barrier, std::uint32_t bytes) {
  emulator::expect(barrier, bytes);
  emulator::arrive(barrier);
}
inline void wait(Barrier* barrier, std::uint32_t parity, bool = false) { emulator::wait(barrier, parity); }

template <int n>
void keep_registers() {}
template <int n>
void take_registers() {}

template <std::uint32_t b_step, std::uint32_t n, class Operand>
void begin_product(float (&d)[product_floats], const std::uint32_t (&a)[n][4], Operand b) {
  static_assert(n <= 2);
  emulator::begin_product({d, a, {b.descriptor, b.further((n - 1) * b_step).descriptor}, n});
}
template <int left>
void wait_product(float (&d)[product_floats]) {
  emulator::wait_product(d, left);
}

#endif

}  // namespace nibble::inline v0::cuda::device
