// The loops that limits.cpp times: reading memory, and dot products by one instruction each.
// Written in assembly by loops.cpp, so that what is measured is what is named, whatever the compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bench/probe/limits.hpp"

namespace probe {

// Bytes in huge pages where the system has them.
class Memory {
 public:
  explicit Memory(std::size_t size);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();
  std::byte* data() const noexcept { return data_; }

 private:
  std::byte* data_;
  std::size_t size_;
};

inline constexpr std::size_t read_step = 512;  // bytes of one turn of a read loop

// Reads a whole number of steps, front to back; the loops differ in how far ahead they prefetch.
using ReadLoop = void (*)(std::span<const std::byte> bytes);
std::span<const ReadLoop> read_loops() noexcept;

struct DotLoop {
  std::string_view tier;
  Arithmetic type;
  std::string_view instruction, feature;
  double macs;  // of one turn
  void (*run)(std::uint64_t turns);
};
// Those that this CPU can run.
std::vector<DotLoop> dot_loops();

}  // namespace probe
