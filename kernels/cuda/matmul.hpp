// Matmuls of packed matrices of codes on tensor cores, one arithmetic for every number of rows.
// Between fragments_family.cpp, which chooses a kernel by the number of rows, and the runtimes.
//
// out[i][r] = sum over k of matrix[r][k] * in[i][k]: codes become halves exactly, inputs are halves by
// activations.hpp, a group's product is float32 on the tensor cores; then, whatever the number of rows,
//
//   slice s of 8, tiles [n s / 8, n (s + 1) / 8):  acc = 0; for each group: acc = fma(scale, product, acc),
//                                                  then for the tile's mins: acc = fma(m, product, acc)
//   total = ((0 + acc of slice 0) + acc of slice 1) + ...,  times the input's inverse
//
// MatmulBySlices  16 row_tiles x 8 token_tiles outputs at a time, one warp a slice; the slices meet in shared
//                 memory. A block takes a stripe of the matrix, and the first tiles of the next rows are on
//                 their way while the last ones are finished. One row of inputs is bound by reading the
//                 matrix, and may come as floats, which each block converts.
// MatmulByRows    256 x 64 outputs a block, a warp 32 rows of the matrix and all slices in turn; inputs come
//                 through a ring in shared memory. Bound by the tensor cores and that memory.
//
// and MatmulByWarpgroups, for compute capability 9.0 (matmul_by_warpgroups.hpp).
#pragma once

#include "kernels/cuda/activations.hpp"
#include "kernels/cuda/expert_groups.hpp"
#include "kernels/cuda/matmul_tile.hpp"
#include "kernels/cuda/multiply.hpp"

namespace nibble::inline v0::cuda {

// What a matmul's kernels read and write; table.hpp's Multiply, with its inputs converted.
struct MatmulJob {
  const std::byte* weights;
  std::uint64_t expert_bytes;
  std::uint32_t rows, cols;
  Levels levels;
  const std::byte* inputs;  // activation_layout(cols); of MatmulByWarpgroups activation_tiles(cols, n_inputs)
  std::uint32_t n_inputs;
  const float* unconverted;  // or null; the only row of inputs, which blocks of MatmulBySlices<1, 1> convert
  float* out;
  std::uint32_t out_stride;
  const float* bias;  // or null
  float scale, softcap;
  // Dense only: the second half of the rows, gated by the first: as many columns of `out`.
  bool gated;
  Activation activation;
  // Experts; n_used 0: dense.
  std::uint32_t n_used;
  const ExpertGroup* groups;  // one for each of the grid's y
  const std::uint32_t* uses;
  bool own_inputs, weighted;
  const float* routed;
  std::uint32_t routed_stride;
  const std::uint32_t* routed_from;
  bool on_trial;  // device::wait()

  NIBBLE_DEVICE std::uint32_t n_row_tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  NIBBLE_DEVICE std::uint32_t n_tiles() const { return (cols + tile_cols - 1) / tile_cols; }

  // What block y of the grid does, `tokens` places at a time.
  NIBBLE_DEVICE ExpertGroup group(std::uint32_t tokens) const {
    if (n_used != 0) return groups[device::block_y()];
    const std::uint32_t begin = device::block_y() * tokens;
    return {0, begin, begin + tokens < n_inputs ? begin + tokens : n_inputs};
  }
  // The row tile that is the i-th to be taken: with a gate those that belong together follow each other.
  NIBBLE_DEVICE std::uint32_t tile_at(std::uint32_t i) const {
    return gated ? i / 2 + i % 2 * (n_row_tiles() / 2) : i;
  }
  // Where it begins in the expert's matrix, or the last where there are fewer.
  template <FragmentLayout layout>
  NIBBLE_DEVICE const std::byte* row_tile(std::uint32_t expert, std::uint32_t i) const {
    const std::uint32_t last = n_row_tiles() - 1;
    return weights + expert * expert_bytes + tile_at(i < last ? i : last) * row_tile_bytes(layout, cols);
  }
  NIBBLE_DEVICE const std::byte* input(std::uint32_t place) const {
    std::uint32_t row = place;
    if (n_used != 0) row = own_inputs ? uses[place] : uses[place] / n_used;
    return inputs + std::size_t{row} * activation_layout(cols).bytes();
  }

  NIBBLE_DEVICE float inverse(std::uint32_t place) const {
    return *reinterpret_cast<const float*>(input(place) + activation_layout(cols).inverse());
  }

  // What a sum becomes once it was multiplied with its input's inverse, and where it goes.
  NIBBLE_DEVICE float finish(std::uint32_t expert, std::uint32_t place, std::uint32_t row, float x) const {
    if (bias != nullptr) x = x + bias[std::size_t{expert} * rows + row];
    if (n_used == 0) return soft_capped(x * scale, softcap);
    if (!weighted) return x;
    const std::uint32_t i = uses[place] / n_used, j = uses[place] % n_used;
    return x * routed[std::size_t{routed_from == nullptr ? i : routed_from[i]} * routed_stride + n_used + j];
  }
  NIBBLE_DEVICE void store(std::uint32_t place, std::uint32_t row, float x) const {
    if (n_used == 0) {
      out[std::size_t{place} * out_stride + row] = x;
    } else {
      const std::uint32_t i = uses[place] / n_used, j = uses[place] % n_used;
      out[std::size_t{i} * out_stride + j * rows + row] = x;
    }
  }
};

template <FragmentLayout layout, std::uint32_t row_tiles, std::uint32_t token_tiles>
struct MatmulBySlices {
  static constexpr std::uint32_t threads = k_slices * device::warp_size, tokens = 8 * token_tiles,
                                 rows = tile_rows * row_tiles;
  static constexpr std::uint32_t resident_blocks = row_tiles == 1 ? 2 : 1;
  static constexpr std::uint32_t outputs = tile_rows * tokens;  // of one row tile
  static constexpr std::uint32_t shared_bytes = k_slices * outputs * sizeof(float);
  // Tiles on their way to a warp: some 2 KiB of each row tile, as far as registers go.
  static constexpr std::uint32_t tile_bytes = layout.chunk / layout.chunk_tiles;
  static constexpr std::uint32_t wanted = ((row_tiles == 1 ? 2304 : 1800) + tile_bytes - 1) / tile_bytes;
  static constexpr std::uint32_t depth = wanted < 4 ? wanted : 4;
  static constexpr bool waits_itself = true, takes_stripes = true;
  // A row that a block converts for itself lies behind that: activation_layout(cols).bytes().
  using Row = BlockRow<threads, 8>;
  static constexpr bool converts = row_tiles * token_tiles == 1;
  MatmulJob job;

  // Which experts' weights are wanted is known only when the launches before are done.
  NIBBLE_DEVICE void operator()() const {
    if (job.n_used != 0) device::wait_for_previous();
    const ExpertGroup group = job.group(tokens);
    for (std::uint32_t first = group.begin; first < group.end; first += tokens) multiply(group, first);
  }

 private:
  using Words = TileWords<layout>;
  static constexpr std::uint32_t outputs_of_thread = (outputs + threads - 1) / threads;

  // Row tiles [begin, end) of job.tile_at().
  struct Stripe {
    std::uint32_t begin, end;
  };
  NIBBLE_DEVICE Stripe stripe() const {
    const std::uint32_t together = job.gated ? 2 : row_tiles,
                        n = (job.n_row_tiles() + together - 1) / together, x = device::block_x();
    return {n * x / device::blocks_x() * together, n * (x + 1) / device::blocks_x() * together};
  }

  using Starts = const std::byte* [row_tiles];
  NIBBLE_DEVICE void find(Starts& starts, const ExpertGroup& group, std::uint32_t i) const {
    NIBBLE_UNROLL
    for (std::uint32_t r = 0; r < row_tiles; ++r)
      starts[r] = job.template row_tile<layout>(group.expert, i + r);
  }

  NIBBLE_DEVICE void multiply(const ExpertGroup& group, std::uint32_t first) const {
    const std::uint32_t slice = device::thread() / device::warp_size,
                        lane = device::thread() % device::warp_size, places = group.end - first,
                        begin = job.n_tiles() * slice / k_slices,
                        n = job.n_tiles() * (slice + 1) / k_slices - begin;
    const Stripe rows_of_block = stripe();
    Words stage[depth][row_tiles];
    Starts here, next;
    find(here, group, rows_of_block.begin);
    const auto load = [&](std::uint32_t d, const Starts& starts, std::uint32_t tile) {
      NIBBLE_UNROLL
      for (std::uint32_t r = 0; r < row_tiles; ++r) stage[d][r].load(starts[r], begin + tile, lane);
    };
    NIBBLE_UNROLL
    for (std::uint32_t d = 0; d < depth; ++d)
      if (d < n) load(d, here, d);
    device::wait_for_previous();
    if constexpr (converts)
      if (job.unconverted != nullptr) convert_row();

    const std::byte *inputs[token_tiles], *sums[token_tiles];
    NIBBLE_UNROLL
    for (std::uint32_t j = 0; j < token_tiles; ++j) {
      // Of places that are missing, the last one: what comes of it is not stored.
      const std::uint32_t place = 8 * j + lane / 4;
      const std::byte* row = input(first + (place < places ? place : places - 1));
      inputs[j] = row + 128 * begin + 16 * (lane % 4);
      sums[j] = row + activation_layout(job.cols).sums() + 16 * begin + 4 * (lane % 4);
    }
    float kept[outputs_of_thread] = {};
    for (std::uint32_t i = rows_of_block.begin; i < rows_of_block.end; i += row_tiles) {
      const bool more = i + row_tiles < rows_of_block.end;
      find(next, group, more ? i + row_tiles : i);
      float acc[row_tiles][token_tiles][4] = {};
      // Tile t of any rows is in stage t % depth, whose next tile may be one of the next rows.
      for (std::uint32_t t = 0; t < n; t += depth) {
        NIBBLE_UNROLL
        for (std::uint32_t d = 0; d < depth; ++d) {
          if (t + d >= n) break;
          multiply_tile(stage[d], t + d, inputs, sums, (places + 7) / 8, acc);
          if (t + d + depth < n)
            load(d, here, t + d + depth);
          else if (more)
            load(d, next, d);
        }
      }
      NIBBLE_UNROLL
      for (std::uint32_t r = 0; r < row_tiles; ++r) {
        here[r] = next[r];
        add_slices(group, first, i + r, acc[r], kept);
      }
    }
  }

  // The bytes that ConvertActivations would leave, in shared memory.
  NIBBLE_DEVICE void convert_row() const {
    Row x;
    x.load(job.unconverted, job.cols);
    const ConvertActivations to{job.unconverted, 0, nullptr, 1, job.cols, device::shared() + shared_bytes};
    to.convert<layout.has_m>(0, x, job.unconverted, device::shared());
    device::sync_block();
  }
  NIBBLE_DEVICE const std::byte* input(std::uint32_t place) const {
    return converts && job.unconverted != nullptr ? device::shared() + shared_bytes : job.input(place);
  }
  NIBBLE_DEVICE float inverse(std::uint32_t place) const {
    return *reinterpret_cast<const float*>(input(place) + activation_layout(job.cols).inverse());
  }

  NIBBLE_DEVICE void multiply_tile(const Words (&words)[row_tiles], std::uint32_t tile,
                                   const std::byte* const (&inputs)[token_tiles],
                                   const std::byte* const (&sums)[token_tiles], std::uint32_t used,
                                   float (&acc)[row_tiles][token_tiles][4]) const {
    NIBBLE_UNROLL
    for (std::uint32_t step = 0; step < 2; ++step) {
      const auto load = [&](std::uint32_t j) {
        return device::load_words4(inputs[j] + 128 * tile + 64 * step);
      };
      multiply_half_tile<layout>(words, step, job.levels, used, load, acc);
    }
    if constexpr (layout.has_m) {
      const auto load = [&](std::uint32_t j) { return device::load_word(sums[j] + 16 * tile); };
      add_mins<layout>(words, used, load, acc);
    }
  }

  // Adds the slices of row tile i in order and stores what they make; what gates is kept for the next.
  NIBBLE_DEVICE void add_slices(const ExpertGroup& group, std::uint32_t first, std::uint32_t i,
                                const float (&acc)[token_tiles][4], float (&kept)[outputs_of_thread]) const {
    auto* slices = reinterpret_cast<float*>(device::shared());  // (k_slices, token_tiles, 32 lanes, 4)
    device::sync_block();
    NIBBLE_UNROLL
    for (std::uint32_t j = 0; j < token_tiles; ++j) {
      const std::uint32_t at = ((device::thread() / 32 * token_tiles + j) * 32 + device::thread() % 32) * 4;
      device::store_words4(slices + at, {device::bits_of(acc[j][0]), device::bits_of(acc[j][1]),
                                         device::bits_of(acc[j][2]), device::bits_of(acc[j][3])});
    }
    device::sync_block();
    NIBBLE_UNROLL
    for (std::uint32_t p = 0; p < outputs_of_thread; ++p) {
      // Neighbouring threads store neighbouring rows.
      const std::uint32_t n = device::thread() + p * threads, in_tile = n % tile_rows, token = n / tile_rows,
                          place = first + token, row = job.tile_at(i) * tile_rows + in_tile;
      if (n >= outputs || row >= job.rows || place >= group.end) break;
      const std::uint32_t lane = in_tile % 8 * 4 + token % 8 / 2,
                          at = (token / 8 * 32 + lane) * 4 + in_tile / 8 * 2 + token % 2;
      float total = 0;
      NIBBLE_UNROLL
      for (std::uint32_t s = 0; s < k_slices; ++s) total = total + slices[s * outputs + at];
      const float x = job.finish(group.expert, place, row, total * inverse(place));
      if (!job.gated)
        job.store(place, row, x);
      else if (i % 2 == 0)
        kept[p] = x;
      else
        job.store(place, row - job.rows / 2, gated(job.activation, kept[p], x));
    }
  }
};

template <FragmentLayout layout>
struct MatmulByRows {
  static constexpr std::uint32_t warps = 8, row_tiles = 2, token_tiles = 8;
  static constexpr std::uint32_t threads = warps * device::warp_size, tokens = 8 * token_tiles,
                                 rows = warps * row_tiles * tile_rows;
  // The ring: stages of one tile's columns of all tokens, 128 bytes of halves each, then 16 of sums.
  static constexpr std::uint32_t stages = 4, halves = 128 * tokens, sums = layout.has_m ? 16 * tokens : 0;
  // In the end sums meet there, of each warp (tokens, 32 rows), four floats apart so that no bank is met
  // twice.
  static constexpr std::uint32_t stride = row_tiles * tile_rows + 4,
                                 shared_bytes = warps * tokens * stride * sizeof(float);
  static_assert(stages * (halves + sums) <= shared_bytes);
  static constexpr bool waits_itself = true;
  MatmulJob job;

  NIBBLE_DEVICE void operator()() const {
    if (job.n_used != 0) device::wait_for_previous();
    const ExpertGroup group = job.group(tokens);
    for (std::uint32_t first = group.begin; first < group.end; first += tokens) multiply(group, first);
  }

 private:
  using Words = TileWords<layout>;
  using Outputs = float[row_tiles][token_tiles][4];

  // This thread's part of copying the inputs.
  struct Source {
    const std::byte *pieces[2], *sums;
  };

  NIBBLE_DEVICE void multiply(const ExpertGroup& group, std::uint32_t first) const {
    const std::uint32_t n_tiles = job.n_tiles(), places = group.end - first, lane = device::thread() % 32,
                        row_tile = (device::block_x() * warps + device::thread() / 32) * row_tiles;
    const std::byte* weights[row_tiles];
    Words next[row_tiles];
    NIBBLE_UNROLL
    for (std::uint32_t r = 0; r < row_tiles; ++r) {
      weights[r] = job.template row_tile<layout>(group.expert, row_tile + r);
      next[r].load(weights[r], 0, lane);
    }
    device::wait_for_previous();
    const Source from = source(first, places);
    device::sync_block();
    for (std::uint32_t tile = 0; tile < stages - 1; ++tile) copy(from, tile, n_tiles);
    Outputs total = {};
    for (std::uint32_t slice = 0, tile = 0; slice < k_slices; ++slice) {
      Outputs acc = {};
      for (; tile < n_tiles * (slice + 1) / k_slices; ++tile) {
        device::wait_copies<stages - 2>();
        device::sync_block();
        copy(from, tile + stages - 1, n_tiles);
        Words words[row_tiles];
        NIBBLE_UNROLL
        for (std::uint32_t r = 0; r < row_tiles; ++r) {
          words[r] = next[r];
          if (tile + 1 < n_tiles) next[r].load(weights[r], tile + 1, lane);
        }
        multiply_tile(words, stage(tile), (places + 7) / 8, acc);
      }
      NIBBLE_UNROLL
      for (std::uint32_t n = 0; n < row_tiles * token_tiles * 4; ++n)
        at(total, n) = at(total, n) + at(acc, n);
    }
    store(group, first, row_tile, total);
  }

  NIBBLE_DEVICE static float& at(Outputs& outputs, std::uint32_t n) {
    return outputs[n / (4 * token_tiles)][n / 4 % token_tiles][n % 4];
  }

  NIBBLE_DEVICE static std::byte* stage(std::uint32_t tile) {
    return device::shared() + tile % stages * (halves + sums);
  }

  // Sixteen bytes each, neighbouring threads of one row: of places that are missing, of the last one.
  NIBBLE_DEVICE Source source(std::uint32_t first, std::uint32_t places) const {
    const auto at = [&](std::uint32_t place) {
      return job.input(first + (place < places ? place : places - 1));
    };
    const std::uint32_t thread = device::thread();
    return {{at(thread / 8) + 16 * (thread % 8), at(thread / 8 + threads / 8) + 16 * (thread % 8)},
            at(thread % tokens) + activation_layout(job.cols).sums()};
  }

  // Where a token's 16 bytes `piece` of 8 lie: odd tokens' halves of 64 change places, so that a quarter of a
  // warp's reads meets every bank once.
  NIBBLE_DEVICE static std::uint32_t place_of(std::uint32_t token, std::uint32_t piece) {
    return 128 * token + (16 * piece ^ 64 * (token % 2));
  }

  NIBBLE_DEVICE void copy(const Source& from, std::uint32_t tile, std::uint32_t n_tiles) const {
    if (tile < n_tiles) {
      std::byte* to = stage(tile);
      NIBBLE_UNROLL
      for (std::uint32_t n = 0; n < 2; ++n) {
        const std::uint32_t token = device::thread() / 8 + n * threads / 8;
        device::copy_async16(to + place_of(token, device::thread() % 8), from.pieces[n] + 128 * tile);
      }
      if constexpr (layout.has_m) {
        if (device::thread() < tokens)
          device::copy_async16(to + halves + 16 * device::thread(), from.sums + 16 * tile);
      }
    }
    device::end_copy_group();
  }

  NIBBLE_DEVICE void multiply_tile(const Words (&words)[row_tiles], const std::byte* inputs,
                                   std::uint32_t used, Outputs& acc) const {
    const std::uint32_t lane = device::thread() % 32;
    NIBBLE_UNROLL
    for (std::uint32_t step = 0; step < 2; ++step) {
      const auto load = [&](std::uint32_t j) {
        return device::load_words4(inputs + place_of(8 * j + lane / 4, 4 * step + lane % 4));
      };
      multiply_half_tile<layout>(words, step, job.levels, used, load, acc);
    }
    if constexpr (layout.has_m) {
      const auto load = [&](std::uint32_t j) {
        return device::load_word(inputs + halves + 16 * 8 * j + 4 * lane);
      };
      add_mins<layout>(words, used, load, acc);
    }
  }

  // Through shared memory, so that what follows a sum is compiled once, and lanes store neighbouring rows.
  NIBBLE_DEVICE void store(const ExpertGroup& group, std::uint32_t first, std::uint32_t row_tile,
                           const Outputs& total) const {
    const std::uint32_t lane = device::thread() % 32, places = group.end - first;
    float* of_warp = reinterpret_cast<float*>(device::shared()) + device::thread() / 32 * tokens * stride;
    device::sync_block();
    NIBBLE_UNROLL
    for (std::uint32_t r = 0; r < row_tiles; ++r) {
      NIBBLE_UNROLL
      for (std::uint32_t j = 0; j < token_tiles; ++j) {
        NIBBLE_UNROLL
        for (std::uint32_t i = 0; i < 4; ++i)
          of_warp[(8 * j + 2 * (lane % 4) + i % 2) * stride + r * tile_rows + lane / 4 + 8 * (i / 2)] =
              total[r][j][i];
      }
    }
    device::sync_warp();
    const std::uint32_t row = job.tile_at(row_tile + lane / tile_rows) * tile_rows + lane % tile_rows;
    if (job.gated ? row >= job.rows / 2 || lane >= tile_rows : row >= job.rows) return;
    for (std::uint32_t token = 0; token < tokens && token < places; ++token) {
      const float* sums_of_token = of_warp + token * stride + lane;
      const float inverse = job.inverse(first + token);
      float x = job.finish(group.expert, first + token, row, sums_of_token[0] * inverse);
      if (job.gated) {
        const float y = job.finish(0, first + token, row + job.rows / 2, sums_of_token[tile_rows] * inverse);
        x = gated(job.activation, x, y);
      }
      job.store(first + token, row, x);
    }
  }
};

}  // namespace nibble::inline v0::cuda
