// Integer arithmetic that reports overflow instead of wrapping: every size derived from a file goes through
// it. Used by all stages; the caller turns an empty result into a positioned Error.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>

namespace nibble::inline v0 {

// a + b, or nothing where 64 bits do not hold it.
constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  if (a > std::numeric_limits<std::uint64_t>::max() - b) return std::nullopt;
  return a + b;
}

// a * b, or nothing where 64 bits do not hold it.
constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) noexcept {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

// The smallest multiple of `step` (> 0) not below `value`, or nothing where 64 bits do not hold it.
constexpr std::optional<std::uint64_t> checked_round_up(std::uint64_t value, std::uint64_t step) noexcept {
  const std::uint64_t rest = value % step;
  return rest == 0 ? std::optional(value) : checked_add(value, step - rest);
}

// `value` as To, or nothing where To does not hold it.
template <std::integral To, std::integral From>
constexpr std::optional<To> checked_cast(From value) noexcept {
  const To result = static_cast<To>(value);
  if (static_cast<From>(result) != value || ((value < From{}) != (result < To{}))) return std::nullopt;
  return result;
}

}  // namespace nibble::inline v0
