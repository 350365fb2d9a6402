// What this CPU can do, asked of the CPU itself (x86) or of the kernel (aarch64).
// Read by dispatch.cpp, once for each backend made.
#include <cstdint>

#include "kernels/cpu/dispatch.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace nibble::inline v0::cpu {

#if defined(__x86_64__) || defined(__i386__)

namespace {

// One bit of a CPUID answer, and the register state the system must save for it: XCR0 bits of AVX or AVX-512.
enum Register { eax, ebx, ecx, edx };
struct Feature {
  std::string_view name;
  unsigned leaf, subleaf;
  Register reg;
  unsigned bit;
  std::uint64_t state;
};

constexpr std::uint64_t ymm = 0x06, zmm = 0xe6;
constexpr Feature features[] = {
    {"f16c", 1, 0, ecx, 29, ymm},       {"fma", 1, 0, ecx, 12, ymm},      {"avx2", 7, 0, ebx, 5, ymm},
    {"avx_vnni", 7, 1, eax, 4, ymm},    {"avx512f", 7, 0, ebx, 16, zmm},  {"avx512dq", 7, 0, ebx, 17, zmm},
    {"avx512bw", 7, 0, ebx, 30, zmm},   {"avx512vl", 7, 0, ebx, 31, zmm}, {"avx512_vnni", 7, 0, ecx, 11, zmm},
    {"avx512_bf16", 7, 1, eax, 5, zmm},
};

// Registers the operating system saves; 0 where it cannot say.
std::uint64_t enabled_state() noexcept {
  unsigned r[4];
  constexpr unsigned osxsave = 1u << 27;
  if (__get_cpuid(1, &r[eax], &r[ebx], &r[ecx], &r[edx]) == 0 || (r[ecx] & osxsave) == 0) return 0;
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

}  // namespace

bool has_feature(std::string_view name) noexcept {
  for (const Feature& f : features) {
    if (f.name != name) continue;
    unsigned r[4];
    if (__get_cpuid_count(f.leaf, f.subleaf, &r[eax], &r[ebx], &r[ecx], &r[edx]) == 0) return false;
    return (r[f.reg] >> f.bit & 1) != 0 && (enabled_state() & f.state) == f.state;
  }
  return false;
}

#elif defined(__aarch64__)

// NEON is part of the architecture; the rest are bits of AT_HWCAP (dotprod) and AT_HWCAP2 (i8mm).
bool has_feature(std::string_view name) noexcept {
  if (name == "neon") return true;
#if defined(__linux__)
  if (name == "dotprod") return (getauxval(AT_HWCAP) >> 20 & 1) != 0;
  if (name == "i8mm") return (getauxval(AT_HWCAP2) >> 13 & 1) != 0;
#endif
  return false;
}

#else

bool has_feature(std::string_view) noexcept { return false; }

#endif

}  // namespace nibble::inline v0::cpu
