// Packing of matrices for the device: a file's blocks to fragments and back, bit for bit, on the host.
// Between a checkpoint's bytes and the device's memory; fragments.hpp draws the result.
#pragma once

#include "kernels/cuda/fragments.hpp"

namespace nibble::inline v0::cuda {

// Bytes of a packed matrix; 0 where the format has no codes (F32, F16, BF16).
std::size_t fragment_bytes(const Format& format, std::size_t rows, std::size_t cols) noexcept;

// Packs one row tile: n_rows (1 to 16) consecutive rows of `cols` elements, as they lie in the file, into
// row_tile_bytes bytes. `cols` is a multiple of the format's block size.
void pack_fragments(const Format& format, const std::byte* file_rows, std::size_t n_rows, std::size_t cols,
                    std::byte* packed) noexcept;

// The reverse.
void unpack_fragments(const Format& format, const std::byte* packed, std::size_t n_rows, std::size_t cols,
                      std::byte* file_rows) noexcept;

}  // namespace nibble::inline v0::cuda
