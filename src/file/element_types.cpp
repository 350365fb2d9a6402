// Element sizes: the formats of this build, and a table of the other published types.
// Private to the file stage.
#include "src/file/element_types.hpp"

#include "nibble/core/checked.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {

namespace {

struct OtherType {
  std::uint32_t number;
  ElementSize size;
};

constexpr OtherType other_types[] = {
    {9, {32, 36}},     // Q8_1
    {15, {256, 292}},  // Q8_K
    {16, {256, 66}},   // IQ2_XXS
    {17, {256, 74}},   // IQ2_XS
    {18, {256, 98}},   // IQ3_XXS
    {19, {256, 50}},   // IQ1_S
    {21, {256, 110}},  // IQ3_S
    {22, {256, 82}},   // IQ2_S
    {24, {1, 1}},      // I8
    {25, {1, 2}},      // I16
    {26, {1, 4}},      // I32
    {27, {1, 8}},      // I64
    {28, {1, 8}},      // F64
    {29, {256, 56}},   // IQ1_M
    {34, {256, 54}},   // TQ1_0
    {35, {256, 66}},   // TQ2_0
    {40, {64, 36}},    // NVFP4
    {41, {128, 18}},   // Q1_0
};

}  // namespace

std::optional<ElementSize> element_size(Dtype dtype) noexcept {
  if (dtype == z4_32 || dtype == z4_128) return std::nullopt;  // made while loading, never stored
  if (const Format* format = find_format(dtype)) {
    return ElementSize{format->block_size, format->block_bytes};
  }
  for (const OtherType& type : other_types) {
    if (type.number == static_cast<std::uint32_t>(dtype)) return type.size;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> tensor_bytes(const Shape& shape, ElementSize size) noexcept {
  constexpr std::uint64_t most = ~0ull >> 1;
  std::uint64_t elements = 1;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    const auto product = checked_mul(elements, shape[i]);
    if (!product || *product > most) return std::nullopt;
    elements = *product;
  }
  const auto bytes = checked_mul(elements / size.block, size.bytes);
  return bytes && *bytes <= most ? bytes : std::nullopt;
}

}  // namespace nibble::inline v0
