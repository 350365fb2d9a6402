// A 64-bit hash of bytes: fingerprints of models and checksums of saved states.
// Not for secrets; any single changed byte changes the value, for every round is a bijection.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace nibble::inline v0 {

class Checksum {
 public:
  // Eight bytes a round, the rest of a run padded with zeros; the run's length goes in as well.
  void add(std::span<const std::byte> bytes) noexcept {
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i, 8);
      mix(word);
    }
    std::uint64_t word = 0;
    if (i < bytes.size()) std::memcpy(&word, bytes.data() + i, bytes.size() - i);
    mix(word);
    mix(bytes.size());
  }
  void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text))); }
  template <class Number>
  requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
  void add(Number number) noexcept {
    if constexpr (std::is_same_v<Number, float>) {
      mix(std::bit_cast<std::uint32_t>(number));
    } else {
      mix(static_cast<std::uint64_t>(number));
    }
  }

  std::uint64_t value() const noexcept { return value_ ^ (value_ >> 32); }

 private:
  void mix(std::uint64_t word) noexcept {
    value_ = (value_ ^ word) * 0x9fb21c651e98df25;
    value_ ^= value_ >> 32;
  }
  std::uint64_t value_ = 0x6e6962626c650001;
};

}  // namespace nibble::inline v0
