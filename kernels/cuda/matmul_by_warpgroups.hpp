// The matmul of packed matrices for many rows of inputs on compute capability 9.0: products by warpgroups.
// The arithmetic is that of matmul.hpp, and so are the bits where warpgroup_check.cpp finds them to be.
//
// 128 x 256 outputs a block: each of two warpgroups has 64 rows of the matrix, whose codes become the
// products' first operand in registers, and all inputs, the second one, in shared memory. A third warpgroup
// brings them: a ring of stages of 32 columns. Each has two barriers: `full`, of the bytes that its copies
// bring, and `empty`, of the eight warps that are done with it. Why no wait is for ever: copies end, or the
// launch does with an error; warps leave every stage that was filled, for nothing else; and stages are filled
// in the order in which they are left. Were one all the same, device::wait() ends it.
//
// A group's product is two or one instructions (k of 16 each) for 64 inputs at a time, and an FMA for each
// output, while the next 64 inputs' are on their way: products are in two sets of registers by turns. Mins
// are one more product, of the sums, with zeros for its upper eight columns. Sums of all slices but the one
// at hand are in shared memory.
//
// Bound by the tensor cores, as far as other instructions fit in beside them: docs/kernels/cuda-matmul.md.
#pragma once

#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/warpgroup.hpp"

namespace nibble::inline v0::cuda {

// Dense only: the inputs of an expert do not lie beside each other. job.inputs: activation_tiles().
template <FragmentLayout layout>
struct MatmulByWarpgroups {
  static constexpr std::uint32_t warps = 8, consumers = warps * device::warp_size,
                                 threads = consumers + device::warpgroup_size;
  static constexpr std::uint32_t chunks = 4, tokens = chunks * device::product_cols, rows = warps * tile_rows;
  // In shared memory: (warps, pairs of tokens, 32) floats of finished slices; the ring; its barriers.
  static constexpr std::uint32_t totals = warps * tokens / 2 * 32 * sizeof(float), halves = 64 * tokens,
                                 stage = halves + (layout.has_m ? 16 * tokens : 0),
                                 stages = layout.has_m ? 4 : 6, barriers = totals + stages * stage;
  static constexpr std::uint32_t shared_bytes = barriers + 2 * stages * sizeof(device::Barrier);
  static constexpr bool waits_itself = true, needs_warpgroups = true;
  MatmulJob job;

  NIBBLE_DEVICE void operator()() const {
    if (device::thread() == 0) {
      for (std::uint32_t s = 0; s < stages; ++s) {
        device::begin_barrier(full(s), 1);
        device::begin_barrier(empty(s), warps);
      }
      device::fence_async();
    }
    device::sync_block();
    const ExpertGroup group = job.group(tokens);
    if (device::thread() >= consumers) {
      device::keep_registers<24>();
      device::wait_for_previous();
      if (device::thread() == consumers) bring_inputs(group.begin);
    } else {
      device::take_registers<240>();
      multiply();
      device::sync_block();
      store(group);
    }
  }

 private:
  using Words = TileWords<layout>;
  using Outputs = float[chunks][device::product_floats];
  using Halves = device::SharedOperand<128, 512>;
  // Both halves of its k are the same sums: what they are multiplied with is zero in the second.
  using Sums = device::SharedOperand<0, 128>;

  // A stage, and the parity of the phase in which it is there for the n-th time.
  struct Turn {
    std::uint32_t stage = 0, parity = 0;
    NIBBLE_DEVICE void next() {
      if (++stage == stages) stage = 0, parity ^= 1;
    }
  };
  NIBBLE_DEVICE static device::Barrier* full(std::uint32_t s) {
    return reinterpret_cast<device::Barrier*>(device::shared() + barriers) + s;
  }
  NIBBLE_DEVICE static device::Barrier* empty(std::uint32_t s) { return full(stages + s); }

  NIBBLE_DEVICE void bring_inputs(std::uint32_t first) const {
    const ActivationTiles tiles = activation_tiles(job.cols, job.n_inputs);
    const std::uint32_t n = tiles.rows - first < tokens ? tiles.rows - first : tokens;
    Turn turn;
    for (std::uint32_t step = 0; step < 2 * job.n_tiles(); ++step, turn.next()) {
      std::byte* to = device::shared() + totals + turn.stage * stage;
      device::Barrier* barrier = full(turn.stage);
      device::wait(empty(turn.stage), turn.parity ^ 1, job.on_trial);
      // Sums of a tile come with its second half.
      const bool brings_sums = layout.has_m && step % 2 == 1;
      device::arrive_and_expect(barrier, 64 * n + (brings_sums ? 16 * n : 0));
      device::copy_bulk(to, job.inputs + tiles.halves(32 * step) + std::size_t{64} * first, 64 * n, barrier);
      if (brings_sums)
        device::copy_bulk(to + halves, job.inputs + tiles.sums(step / 2) + std::size_t{16} * first, 16 * n,
                          barrier);
    }
  }

  NIBBLE_DEVICE void multiply() const {
    const std::uint32_t n_tiles = job.n_tiles(), lane = device::thread() % device::warp_size;
    const std::byte* weights =
        job.template row_tile<layout>(0, device::block_x() * warps + device::thread() / device::warp_size);
    Words next;
    next.load(weights, 0, lane);
    device::wait_for_previous();
    float products[2][device::product_floats] = {};
    Turn turn;
    for (std::uint32_t slice = 0, tile = 0; slice < k_slices; ++slice) {
      Outputs acc = {};
      for (; tile < n_tiles * (slice + 1) / k_slices; ++tile) {
        const Words words = next;
        if (tile + 1 < n_tiles) next.load(weights, tile + 1, lane);
        NIBBLE_UNROLL
        for (std::uint32_t step = 0; step < 2; ++step, turn.next()) {
          device::wait(full(turn.stage), turn.parity, job.on_trial);
          multiply_half_tile(words, step, turn.stage, products, acc);
          device::sync_warp();
          if (lane == 0) device::arrive(empty(turn.stage));
        }
      }
      add_slice(slice, acc);
    }
  }

  NIBBLE_DEVICE void multiply_half_tile(const Words& words, std::uint32_t step, std::uint32_t s,
                                        float (&products)[2][device::product_floats], Outputs& acc) const {
    constexpr std::uint32_t operands = layout.group / 16, groups = 2 / operands;  // of one group: 1 or 2
    const std::uint32_t ring = device::shared_address(device::shared() + totals);
    const Halves inputs = Halves::at(ring).further(s * stage);
    NIBBLE_UNROLL
    for (std::uint32_t g = 0; g < groups; ++g) {
      std::uint32_t a[operands][4];
      NIBBLE_UNROLL
      for (std::uint32_t o = 0; o < operands; ++o)
        words.operand(2 * step + g * operands + o, job.levels, a[o]);
      add_product(a, inputs.further(256 * g), 4096, words.group(groups * step + g).scale, products, acc);
    }
    if constexpr (layout.has_m) {
      if (step == 0) return;
      const Sums sums = Sums::at(ring + halves).further(s * stage);
      NIBBLE_UNROLL
      for (std::uint32_t m = 0; m < Words::min_operands; ++m) {
        std::uint32_t mins[2];
        words.mins(m, device::thread() % device::warp_size, mins);
        const std::uint32_t a[1][4] = {{mins[0], mins[1], 0, 0}};
        add_product(a, sums, 1024, {words.min_factor(m, 0), words.min_factor(m, 1)}, products, acc);
      }
    }
  }

  // acc[j] += factor * (a . inputs 64 j to 64 j + 63), which `inputs` has each `further` bytes.
  template <std::uint32_t n, class Operand>
  NIBBLE_DEVICE static void add_product(const std::uint32_t (&a)[n][4], Operand inputs, std::uint32_t further,
                                        const float (&factor)[2],
                                        float (&products)[2][device::product_floats], Outputs& acc) {
    device::begin_product<256>(products[0], a, inputs);
    NIBBLE_UNROLL
    for (std::uint32_t j = 0; j < chunks; ++j) {
      float(&product)[device::product_floats] = products[j % 2];
      if (j + 1 < chunks) {
        device::begin_product<256>(products[(j + 1) % 2], a, inputs.further((j + 1) * further));
        device::wait_product<1>(product);
      } else {
        device::wait_product<0>(product);
      }
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < device::product_floats; ++i)
        acc[j][i] = device::fma(factor[i / 2 % 2], product[i], acc[j][i]);
    }
  }

  // Four floats of a pair of tokens: rows r and r + 8 (r: 0 to 7) of row tile `warp`, of each both tokens.
  // Where neighbouring lanes have theirs, in a row as in a pair, they are in different banks.
  NIBBLE_DEVICE static std::byte* total_of(std::uint32_t warp, std::uint32_t pair, std::uint32_t r) {
    return device::shared() + (warp * (tokens / 2) + pair) * 128 + (16 * r + 32 * pair) % 128;
  }

  NIBBLE_DEVICE static void add_slice(std::uint32_t slice, const Outputs& acc) {
    const std::uint32_t warp = device::thread() / device::warp_size, lane = device::thread() % 32;
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < tokens / 8; ++n) {
      const float(&sums)[device::product_floats] = acc[n / 8];
      std::byte* at = total_of(warp, 4 * n + lane % 4, lane / 4);
      Words4 total{};
      if (slice != 0) total = device::load_words4(at);
      const auto add = [&](std::uint32_t word, std::uint32_t i) {
        return device::bits_of(device::float_of(word) + sums[n % 8 * 4 + i]);
      };
      device::store_words4(at, {add(total.x, 0), add(total.y, 1), add(total.z, 2), add(total.w, 3)});
    }
  }

  // Lanes store neighbouring rows: half a warp has a row tile; where one gates another, both of them, and
  // every other pair of tokens.
  NIBBLE_DEVICE void store(const ExpertGroup& group) const {
    const std::uint32_t warp = device::thread() / device::warp_size, half = device::thread() % 32 / 16,
                        in_tile = device::thread() % 16, tile = warp % 4 * 2 + (job.gated ? 0 : half),
                        row = job.tile_at(device::block_x() * warps + tile) * tile_rows + in_tile,
                        end = group.end - group.begin;
    if (row >= (job.gated ? job.rows / 2 : job.rows)) return;
    const std::byte* inverses =
        job.inputs + activation_tiles(job.cols, job.n_inputs).inverses() + std::size_t{4} * group.begin;
    const auto totals_of = [&](std::uint32_t row_tile, std::uint32_t pair) {
      return device::load_words2(total_of(row_tile, pair, in_tile % 8) + in_tile / 8 * 8);
    };
    for (std::uint32_t pair = job.gated ? warp / 4 * 2 + half : warp / 4; 2 * pair < end;
         pair += job.gated ? 4 : 2) {
      const device::Words2 x = totals_of(tile, pair), y = totals_of(tile + (job.gated ? 1 : 0), pair),
                           inverse = device::load_words2(inverses + 8 * pair);
      store(group.begin + 2 * pair, row, x.x, y.x, device::float_of(inverse.x));
      if (2 * pair + 1 < end) store(group.begin + 2 * pair + 1, row, x.y, y.y, device::float_of(inverse.y));
    }
  }
  NIBBLE_DEVICE void store(std::uint32_t place, std::uint32_t row, std::uint32_t x, std::uint32_t y,
                           float inverse) const {
    float out = job.finish(0, place, row, device::float_of(x) * inverse);
    if (job.gated)
      out =
          gated(job.activation, out, job.finish(0, place, row + job.rows / 2, device::float_of(y) * inverse));
    job.store(place, row, out);
  }
};

}  // namespace nibble::inline v0::cuda
