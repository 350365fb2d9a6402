// Random blocks and files of floats for the tests of block formats.
// Beside the tests; never part of the library.
#pragma once

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "nibble/quant/formats.hpp"

namespace quant_test {

inline std::vector<std::byte> random_bytes(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Every bit random, but for d and m, which are finite.
inline std::vector<std::byte> random_blocks(const nibble::Format& format, std::size_t n, std::uint32_t seed) {
  std::vector<std::byte> bytes = random_bytes(n * format.block_bytes, seed);
  std::mt19937 random(seed + 1);
  for (std::size_t i = 0; i < n && format.split != nullptr; ++i) {
    nibble::BlockParts parts;
    format.split(bytes.data() + i * format.block_bytes, parts);
    if (!format.codes.d_is_e8m0) parts.d &= 0xbfff;
    if (format.codes.d_is_e8m0) parts.d = static_cast<std::uint16_t>(random() % 253);
    parts.m &= 0xbfff;
    format.join(parts, bytes.data() + i * format.block_bytes);
  }
  return bytes;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<float> read_floats(const std::string& path) {
  const std::string bytes = read_file(path);
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

inline std::string fixture(const std::string& name) {
  return NIBBLE_SOURCE_DIR "/tests/fixtures/quant/" + name;
}

}  // namespace quant_test
