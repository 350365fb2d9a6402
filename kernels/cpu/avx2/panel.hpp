// A panel: 512 elements of a row tile unpacked to bytes and floats, once for all tokens of a job.
// Read by matmul.hpp in the same way as the packed row tile itself.
#pragma once

#include "kernels/cpu/avx2/codes.hpp"

namespace nibble::inline v0::cpu::avx2 {
namespace {

inline constexpr std::size_t panel_cols = 512;  // a multiple of activation_group and of every block size

struct alignas(64) Panel {
  std::byte quads[panel_cols / 4][halves][vector_bytes];
  float scales[panel_cols / 16][row_tile], mins[panel_cols / 16][row_tile];
};

struct PanelPlane {
  const std::byte (*quads)[halves][vector_bytes];
  const float (*scales)[row_tile], (*mins)[row_tile];

  [[gnu::always_inline]] inline __m256i quad(int q, std::size_t half) const { return load(quads[q][half]); }
  [[gnu::always_inline]] inline __m256 scale(std::size_t g, std::size_t half) const {
    return _mm256_load_ps(scales[g] + half * lanes);
  }
  [[gnu::always_inline]] inline __m256 min(std::size_t g, std::size_t half) const {
    return _mm256_load_ps(mins[g] + half * lanes);
  }
};

// A panel of which the first element is `begin`.
template <class F>
struct PanelTile {
  const Panel& panel;
  std::size_t begin;

  [[gnu::always_inline]] inline PanelPlane plane(std::size_t k) const {
    const std::size_t g = (k - begin) / F::codes.group;
    return {panel.quads + (k - begin) / 4, panel.scales + g, panel.mins + g};
  }
};

template <class F, class Dots>
void unpack(const PackedTile<F, Dots>& rows, std::size_t begin, std::size_t end, Panel& panel) {
  for (std::size_t k = begin; k < end; k += plane_size) {
    const PackedPlane<F, Dots> from = rows.plane(k);
    for (std::size_t half = 0; half < halves; ++half) {
#pragma GCC unroll 8
      for (int i = 0; i < n_quads; ++i) {
        const int q = quad_at<F>(i);
        std::byte* to = panel.quads[(k - begin) / 4 + q][half];
        _mm256_store_si256(reinterpret_cast<__m256i*>(to), from.quad(q, half));
      }
      for (std::size_t g = 0; g < plane_size / F::codes.group; ++g) {
        const std::size_t to = (k - begin) / F::codes.group + g;
        _mm256_store_ps(panel.scales[to] + half * lanes, from.scale(g, half));
        if constexpr (F::codes.has_m) _mm256_store_ps(panel.mins[to] + half * lanes, from.min(g, half));
      }
    }
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx2
