// Arranging nibbles as GGUF does: element i beside element i + 16.
// See mxfp4_experts.hpp.
#include "src/model/mxfp4_experts.hpp"

#include <cstring>

#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::size_t code_bytes = sizeof(MXFP4::Block::q);

Error wrong_shape(const Tensor& tensor, const char* allowed) {
  return Error({.code = ErrorCode::shape_mismatch,
                .source = tensor.source,
                .position = at_byte(tensor.offset),
                .field = tensor.name,
                .found = to_string(tensor.shape),
                .allowed = allowed});
}

// Of the file: code 2i in the low, code 2i + 1 in the high half of byte i.
MXFP4::Block make_block(const std::byte* codes, std::byte scale) {
  std::uint8_t code[MXFP4::block_size];
  for (std::size_t i = 0; i < code_bytes; ++i) {
    code[2 * i] = std::to_integer<std::uint8_t>(codes[i]) & 15;
    code[2 * i + 1] = std::to_integer<std::uint8_t>(codes[i]) >> 4;
  }
  MXFP4::Block block{.e = std::to_integer<std::uint8_t>(scale), .q = {}};
  for (std::size_t i = 0; i < code_bytes; ++i)
    block.q[i] = static_cast<std::uint8_t>(code[i] | code[i + code_bytes] << 4);
  return block;
}

Weight own(Tensor tensor, std::vector<std::byte> bytes) {
  auto shared = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  tensor.bytes = *shared;
  return {.tensor = std::move(tensor), .own = std::move(shared)};
}

std::uint64_t count(std::uint64_t n, RowChoice choice) {
  return n > choice.begin ? (n - choice.begin - 1) / choice.step + 1 : 0;
}

}  // namespace

Weight mxfp4_expert(const Tensor& blocks, const Tensor& scales, std::uint32_t expert, RowChoice choice) {
  const Shape& shape = blocks.shape;
  if (shape.rank() != 4 || shape[3] != code_bytes || shape[0] <= expert ||
      blocks.bytes.size() != shape.elements()) {
    throw wrong_shape(blocks, "bytes of (experts, rows, cols / 32, 16)");
  }
  if (scales.shape != Shape{shape[0], shape[1], shape[2]} || scales.bytes.size() != scales.shape.elements())
    throw wrong_shape(scales, "a byte for each 16 of the blocks");
  const std::size_t n_blocks = shape[2];
  Tensor tensor = blocks;
  tensor.dtype = find_format("MXFP4")->dtype;
  tensor.shape = {count(shape[1], choice), n_blocks * MXFP4::block_size};
  std::vector<std::byte> bytes(tensor.shape[0] * n_blocks * sizeof(MXFP4::Block));
  std::byte* out = bytes.data();
  for (std::uint64_t row = choice.begin; row < shape[1]; row += choice.step) {
    for (std::size_t i = 0; i < n_blocks; ++i, out += sizeof(MXFP4::Block)) {
      const std::size_t at = (expert * shape[1] + row) * n_blocks + i;
      const MXFP4::Block block = make_block(blocks.bytes.data() + at * code_bytes, scales.bytes[at]);
      std::memcpy(out, &block, sizeof block);
    }
  }
  return own(std::move(tensor), std::move(bytes));
}

Weight choose_elements(const Tensor& vector, RowChoice choice) {
  const std::uint64_t n = vector.shape.elements();
  const std::size_t size = n == 0 ? 0 : vector.bytes.size() / n;
  Tensor tensor = vector;
  tensor.shape = {count(n, choice)};
  std::vector<std::byte> bytes;
  for (std::uint64_t i = choice.begin; i < n; i += choice.step) {
    const auto element = vector.bytes.subspan(i * size, size);
    bytes.insert(bytes.end(), element.begin(), element.end());
  }
  return own(std::move(tensor), std::move(bytes));
}

}  // namespace nibble::inline v0
