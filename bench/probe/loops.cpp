// Assembly for x86-64 and aarch64: streams of loads, and independent chains of one instruction, enough of
// them to hide its latency. Which of them run here is asked of the CPU in the same way as the engine asks.
#include "bench/probe/loops.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <new>

#include "kernels/cpu/dispatch.hpp"

namespace probe {

namespace {

bool runs_here(std::initializer_list<std::string_view> features) noexcept {
  return std::ranges::all_of(features, nibble::cpu::has_feature);
}

#if defined(__x86_64__) || defined(__aarch64__)

// What all registers begin with: as floats, as bfloat16 and as bytes it is neither zero nor slow.
alignas(64) constexpr std::uint32_t operands[16] = {
    0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80,
    0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};

constexpr int chains = 14;  // registers 0 to 13, written as \r; 14 is free, 15 is the operand

#endif

#if defined(__x86_64__)

#define NIBBLE_REGISTERS                                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15"

// SETUP loads register \r, DOT is one turn of chain \r, END leaves the wide registers.
#define NIBBLE_DOTS(NAME, SETUP, DOT, END)                              \
  void NAME(std::uint64_t turns) {                                      \
    asm volatile(".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" SETUP \
                 "\n.endr\n"                                            \
                 "1:\n.irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13\n" DOT     \
                 "\n.endr\n"                                            \
                 "dec %0\n jnz 1b\n" END                                \
                 : "+r"(turns)                                          \
                 : "r"(operands)                                        \
                 : NIBBLE_REGISTERS, "memory", "cc");                   \
  }

// LOADS reads the 64 bytes at 64 * \r from %0.
#define NIBBLE_READ(NAME, LOADS, END)                                             \
  template <int ahead>                                                            \
  void NAME(std::span<const std::byte> bytes) {                                   \
    const std::byte* at = bytes.data();                                           \
    asm volatile("1:\n.irp r,0,1,2,3,4,5,6,7\n prefetcht0 %c2+64*\\r(%0)\n" LOADS \
                 "\n.endr\n"                                                      \
                 "add $512,%0\n cmp %1,%0\n jb 1b\n" END                          \
                 : "+r"(at)                                                       \
                 : "r"(bytes.data() + bytes.size()), "i"(ahead)                   \
                 : NIBBLE_REGISTERS, "memory", "cc");                             \
  }

NIBBLE_DOTS(dot_sse2_fp32, "movups (%1),%%xmm\\r",
            "movaps %%xmm15,%%xmm14\n mulps %%xmm15,%%xmm14\n addps %%xmm14,%%xmm\\r", "")
NIBBLE_DOTS(dot_avx2_fp32, "vmovups (%1),%%ymm\\r", "vfmadd231ps %%ymm15,%%ymm15,%%ymm\\r", "vzeroupper")
NIBBLE_DOTS(dot_avx2_int8, "vmovups (%1),%%ymm\\r",
            "vpmaddubsw %%ymm15,%%ymm15,%%ymm14\n vpmaddwd %%ymm15,%%ymm14,%%ymm14\n"
            "vpaddd %%ymm14,%%ymm\\r,%%ymm\\r",
            "vzeroupper")
NIBBLE_DOTS(dot_avx2_int16, "vmovups (%1),%%ymm\\r",
            "vpmaddubsw %%ymm15,%%ymm15,%%ymm14\n vpaddw %%ymm14,%%ymm\\r,%%ymm\\r", "vzeroupper")
NIBBLE_DOTS(dot_avx_vnni, "vmovups (%1),%%ymm\\r", "%{vex%} vpdpbusd %%ymm15,%%ymm15,%%ymm\\r", "vzeroupper")
NIBBLE_DOTS(dot_avx512_fp32, "vmovups (%1),%%zmm\\r", "vfmadd231ps %%zmm15,%%zmm15,%%zmm\\r", "vzeroupper")
NIBBLE_DOTS(dot_avx512_int8, "vmovups (%1),%%zmm\\r", "vpdpbusd %%zmm15,%%zmm15,%%zmm\\r", "vzeroupper")
NIBBLE_DOTS(dot_avx512_bf16, "vmovups (%1),%%zmm\\r", "vdpbf16ps %%zmm15,%%zmm15,%%zmm\\r", "vzeroupper")

NIBBLE_READ(read_sse2,
            "movaps 64*\\r(%0),%%xmm0\n movaps 64*\\r+16(%0),%%xmm1\n"
            "movaps 64*\\r+32(%0),%%xmm2\n movaps 64*\\r+48(%0),%%xmm3\n",
            "")
NIBBLE_READ(read_avx2, "vmovaps 64*\\r(%0),%%ymm0\n vmovaps 64*\\r+32(%0),%%ymm1\n", "vzeroupper")
NIBBLE_READ(read_avx512, "vmovaps 64*\\r(%0),%%zmm0\n", "vzeroupper")

constexpr ReadLoop reads_sse2[] = {read_sse2<1024>, read_sse2<4096>, read_sse2<8192>};
constexpr ReadLoop reads_avx2[] = {read_avx2<1024>, read_avx2<4096>, read_avx2<8192>};
constexpr ReadLoop reads_avx512[] = {read_avx512<1024>, read_avx512<4096>, read_avx512<8192>};

std::span<const ReadLoop> choose_read_loops() noexcept {
  if (runs_here({"avx512f"})) return reads_avx512;
  if (runs_here({"avx2"})) return reads_avx2;
  return reads_sse2;
}

void add_dot_loops(std::vector<DotLoop>& loops) {
  const auto add = [&](std::initializer_list<std::string_view> features, const DotLoop& loop) {
    if (runs_here(features)) loops.push_back(loop);
  };
  using enum Arithmetic;
  add({"avx512f", "avx512_vnni"}, {"avx512", int8, "vpdpbusd zmm", "", 64 * chains, dot_avx512_int8});
  add({"avx512f", "avx512_bf16"}, {"avx512", bf16, "vdpbf16ps zmm", "", 32 * chains, dot_avx512_bf16});
  add({"avx512f"}, {"avx512", fp32, "vfmadd231ps zmm", "", 16 * chains, dot_avx512_fp32});
  add({"avx2", "avx_vnni"}, {"avx2", int8, "vpdpbusd ymm", "avx_vnni", 32 * chains, dot_avx_vnni});
  add({"avx2"}, {"avx2", int8, "vpmaddubsw+vpmaddwd+vpaddd ymm", "", 32 * chains, dot_avx2_int8});
  add({"avx2"}, {"avx2", int8, "vpmaddubsw+vpaddw ymm", "", 32 * chains, dot_avx2_int16});
  add({"avx2", "fma"}, {"avx2", fp32, "vfmadd231ps ymm", "", 8 * chains, dot_avx2_fp32});
  add({}, {"portable", fp32, "mulps+addps xmm", "", 4 * chains, dot_sse2_fp32});
}

#elif defined(__aarch64__)

#define NIBBLE_REGISTERS \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15"

#define NIBBLE_DOTS(NAME, DOT)                                                   \
  void NAME(std::uint64_t turns) {                                               \
    asm volatile(                                                                \
        ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n ldr q\\r,[%1]\n .endr\n" \
        "1:\n.irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13\n" DOT                       \
        "\n.endr\n"                                                              \
        "subs %0,%0,#1\n b.ne 1b\n"                                              \
        : "+r"(turns)                                                            \
        : "r"(operands)                                                          \
        : NIBBLE_REGISTERS, "memory", "cc");                                     \
  }

NIBBLE_DOTS(dot_fp32, "fmla v\\r\\().4s,v15.4s,v15.4s")
// sdot and smmla v\r.4s, v15.16b, v15.16b: as numbers, for the assembler may know less than the CPU.
NIBBLE_DOTS(dot_sdot, ".inst 0x4e8f95e0+\\r")
NIBBLE_DOTS(dot_smmla, ".inst 0x4e8fa5e0+\\r")

template <int ahead>
void read_neon(std::span<const std::byte> bytes) {
  const std::byte* at = bytes.data();
  asm volatile(
      "1:\n.irp r,0,64,128,192,256,320,384,448\n prfm pldl1keep,[%0,#%2+\\r]\n"
      "ldp q0,q1,[%0,#\\r]\n ldp q2,q3,[%0,#\\r+32]\n .endr\n"
      "add %0,%0,#512\n cmp %0,%1\n b.lo 1b\n"
      : "+r"(at)
      : "r"(bytes.data() + bytes.size()), "i"(ahead)
      : NIBBLE_REGISTERS, "memory", "cc");
}

constexpr ReadLoop reads_neon[] = {read_neon<1024>, read_neon<4096>, read_neon<8192>};

std::span<const ReadLoop> choose_read_loops() noexcept { return reads_neon; }

void add_dot_loops(std::vector<DotLoop>& loops) {
  using enum Arithmetic;
  if (runs_here({"i8mm"})) loops.push_back({"neon", int8, "smmla", "i8mm", 32 * chains, dot_smmla});
  if (runs_here({"dotprod"})) loops.push_back({"neon", int8, "sdot", "", 16 * chains, dot_sdot});
  for (const std::string_view tier : {"neon", "portable"})
    loops.push_back({tier, fp32, "fmla.4s", "", 4 * chains, dot_fp32});
}

#else

void read_words(std::span<const std::byte> bytes) {
  const auto* const words = reinterpret_cast<const std::uint64_t*>(bytes.data());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size() / sizeof(*words); ++i) sum ^= words[i];
  asm volatile("" : : "r"(sum));
}

constexpr ReadLoop reads_words[] = {read_words};

std::span<const ReadLoop> choose_read_loops() noexcept { return reads_words; }

void add_dot_loops(std::vector<DotLoop>&) {}

#endif

}  // namespace

Memory::Memory(std::size_t size) : size_(size) {
  void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(mapped, size, MADV_HUGEPAGE);
#endif
  data_ = static_cast<std::byte*>(mapped);
  std::memset(data_, 1, size);  // pages that were never written are all the same one
}

Memory::~Memory() { munmap(data_, size_); }

std::span<const ReadLoop> read_loops() noexcept { return choose_read_loops(); }

std::vector<DotLoop> dot_loops() {
  std::vector<DotLoop> loops;
  add_dot_loops(loops);
  return loops;
}

}  // namespace probe
