// What this machine can do at best: read memory, and multiply and add with each instruction the CPU tiers
// use. Measured by `nibble bench` and by the kernel benchmarks, in the process whose speed is compared with
// it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "nibble/quant/format.hpp"

namespace probe {

enum class Arithmetic : std::uint8_t { int8, bf16, fp32 };
std::string_view to_string(Arithmetic type) noexcept;
// What products with weights of this format call for.
Arithmetic arithmetic_of(const nibble::Format& format) noexcept;

// One way of a CPU tier to compute dot products.
struct Peak {
  std::string_view tier;  // "avx2"
  Arithmetic type;
  std::string_view instruction;  // "vpdpbusd ymm"
  std::string_view feature;      // that the tier uses where the CPU has it: "avx_vnni"; empty: always
  double gmacs;                  // 1e9 multiplications with addition a second, all threads together
};

struct Limits {
  std::uint32_t threads = 0;
  double read_gbps = 0;  // 1e9 bytes a second, all threads together
  std::vector<Peak> peaks;

  // What the tier uses for one type: what needs a feature if that was measured (unless `plain`), else the
  // best; "avx512_bf16" is one of avx512's. Null where it has nothing.
  const Peak* find(std::string_view tier, Arithmetic type, bool plain = false) const noexcept;
  // The better of each figure: what disturbs a measurement only ever makes it slower.
  void merge(const Limits& other) noexcept;
};

// Takes a second or so, and half a gigabyte of memory meanwhile. Errors: std::bad_alloc.
Limits measure_limits(std::uint32_t threads);

}  // namespace probe
