// Packing, lookup and matmul of the family of fragments: which kernel runs, and on what grid.
// Between the backend's calls and the kernels of matmul.hpp.
#include "kernels/cuda/fragments_family.hpp"

#include <algorithm>

#include "kernels/cuda/pack.hpp"

namespace nibble::inline v0::cuda {
namespace {

constexpr std::uint64_t scratch_alignment = 256;
// Fewer large blocks than this leave most of a device idle: then smaller ones do the work.
constexpr std::uint32_t enough_blocks = 64;

// So few rows are converted by as many blocks each as they have pieces.
constexpr std::uint32_t few_rows = 8;

constexpr std::uint64_t align(std::uint64_t bytes) {
  return (bytes + scratch_alignment - 1) / scratch_alignment * scratch_alignment;
}
constexpr std::uint32_t blocks(std::uint64_t n, std::uint32_t of_block) {
  return static_cast<std::uint32_t>((n + of_block - 1) / of_block);
}

constexpr std::uint32_t narrow(std::uint64_t n) { return static_cast<std::uint32_t>(n); }

// Where a multiply's scratch holds what: inputs, then groups, then uses.
struct Scratch {
  std::uint64_t groups, uses, bytes;

  Scratch(std::uint64_t cols, std::uint64_t n_inputs, std::uint64_t n_uses)
      : groups(align(std::max<std::uint64_t>(n_inputs * activation_layout(narrow(cols)).bytes(),
                                             activation_tiles(narrow(cols), narrow(n_inputs)).bytes()))),
        uses(groups + align(n_uses * sizeof(ExpertGroup))),
        bytes(uses + align(n_uses * sizeof(std::uint32_t))) {}
};

Levels levels_of(const Format& format) {
  std::uint32_t words[4] = {};
  if (format.codes.levels != nullptr) {
    for (std::uint32_t i = 0; i < 16; ++i)
      words[i / 4] |= static_cast<std::uint32_t>(format.codes.levels[i] + 128) << 8 * (i % 4);
  }
  return {words[0], words[1], words[2], words[3]};
}

bool takes(const Format& format, std::uint64_t, std::uint64_t) { return format.codes.group != 0; }

std::uint64_t tile_bytes(const Format& format, std::uint64_t cols) {
  return fragment_bytes(format, tile_rows, cols);
}

std::uint64_t scratch_bytes(std::uint64_t cols, std::uint64_t n_inputs, std::uint64_t n_uses) {
  return Scratch(cols, n_inputs, n_uses).bytes;
}

void look_up(Runtime& runtime, const LookUp& work) {
  visit_kernels(*work.matrix.format, [&]<class Kernels>() {
    runtime.launch({.x = work.n_rows}, typename Kernels::LookUp{work.matrix.bytes, work.matrix.cols,
                                                                levels_of(*work.matrix.format), work.tokens,
                                                                work.out, work.out_stride, work.scale});
  });
}

// Whether a matmul's blocks convert its only row, each for itself, so that there is one launch less. All of
// them read the row then; where that is more than so much in all, a launch is sooner done
// (docs/kernels/cuda-matmul.md).
constexpr std::uint64_t most_rows_bytes = 4 << 20;
bool converts_itself(const Multiply& work, BlockShape shape) {
  using Any = KernelsOf<layout_of<Q4_0>>::Few;
  const std::uint32_t cols = work.matrix.cols;
  return shape == BlockShape::few_inputs && work.n_rows == 1 && work.n_used == 0 && work.from == nullptr &&
         !work.converted && !work.leaves_converted && Any::Row::holds(cols) &&
         sizeof(float) * cols * std::uint64_t{blocks(work.matrix.rows, Any::rows)} <= most_rows_bytes;
}

// Converts the inputs where they are not yet and, with experts, sorts their uses; returns what the matmul
// itself is to do.
MatmulJob prepare(Runtime& runtime, const Multiply& work, BlockShape shape) {
  const std::uint32_t cols = work.matrix.cols, parts = work.own_inputs ? work.n_used : 1,
                      n_uses = work.n_rows * work.n_used;
  const Scratch scratch(cols, std::uint64_t{work.n_rows} * parts, n_uses);
  const bool by_matmul = converts_itself(work, shape);
  if (!work.converted && !by_matmul) {
    using Row = ConvertActivations::Row;
    const std::uint32_t rows = work.n_rows * parts;
    const bool by_pieces = rows <= few_rows;
    runtime.launch({.x = rows,
                    .y = by_pieces ? std::min(Row::pieces, blocks(cols, Row::cols / Row::pieces)) : 1,
                    .shared_bytes = ConvertActivations::shared_bytes},
                   ConvertActivations{work.in, work.in_stride, work.from, parts, cols, work.scratch,
                                      shape == BlockShape::by_warpgroups ? work.n_rows : 0, by_pieces});
  }
  auto* groups = reinterpret_cast<ExpertGroup*>(work.scratch + scratch.groups);
  auto* uses = reinterpret_cast<std::uint32_t*>(work.scratch + scratch.uses);
  if (n_uses != 0) {
    const GroupUses group{work.routed, work.routed_stride, work.routed_from, work.n_rows,
                          work.n_used, work.n_experts,     groups,           std::min(n_uses, work.n_experts),
                          uses};
    runtime.launch({.shared_bytes = group.shared_bytes()}, group);
  }
  return {.weights = work.matrix.bytes,
          .expert_bytes = work.matrix.expert_bytes,
          .rows = work.matrix.rows,
          .cols = cols,
          .levels = levels_of(*work.matrix.format),
          .inputs = work.scratch,
          .n_inputs = work.n_rows,
          .unconverted = by_matmul ? work.in : nullptr,
          .out = work.out,
          .out_stride = work.out_stride,
          .bias = work.bias,
          .scale = work.scale,
          .softcap = work.softcap,
          .gated = work.gated,
          .activation = work.activation,
          .n_used = work.n_used,
          .groups = groups,
          .uses = uses,
          .own_inputs = work.own_inputs,
          .weighted = work.weighted,
          .routed = work.routed,
          .routed_stride = work.routed_stride,
          .routed_from = work.routed_from,
          .on_trial = work.on_trial};
}

// Blocks of the grid's y: of experts no more than can be in use.
std::uint32_t n_groups(const Multiply& work) { return std::min(work.n_rows * work.n_used, work.n_experts); }

template <class Kernel>
void launch(Runtime& runtime, const Multiply& work, const MatmulJob& job) {
  const std::uint32_t y = job.n_used != 0 ? n_groups(work) : blocks(job.n_inputs, Kernel::tokens);
  std::uint32_t x = blocks(job.rows, Kernel::rows);
  // Where blocks take stripes, as many as run at the same time.
  if constexpr (requires { Kernel::takes_stripes; })
    x = std::min(x, std::max(1u, runtime.resident_blocks<Kernel>() / y));
  const std::uint32_t row_bytes = job.unconverted != nullptr ? activation_layout(job.cols).bytes() : 0;
  runtime.launch({.x = x, .y = y, .shared_bytes = Kernel::shared_bytes + row_bytes}, Kernel{job});
}

void multiply(Runtime& runtime, const Multiply& work) {
  multiply_in(runtime, work, best_shape(runtime, work));
}

// By the number of inputs alone: matmuls of the same inputs, converted once, are to be of one mind.
bool by_warpgroups(const Runtime& runtime, std::uint32_t n_rows, bool dense) {
  return runtime.uses_warpgroups() && dense && n_rows >= runtime.enough_for_warpgroups();
}
std::uint32_t n_in_tiles(const Runtime& runtime, std::uint32_t n_rows, bool dense) {
  return by_warpgroups(runtime, n_rows, dense) ? n_rows : 0;
}

}  // namespace

BlockShape best_shape(const Runtime& runtime, const Multiply& work) {
  if (by_warpgroups(runtime, work.n_rows, work.n_used == 0)) return BlockShape::by_warpgroups;
  using Any = KernelsOf<layout_of<Q4_0>>;  // the same outputs to a block as of any format
  const std::uint32_t groups = std::max(1u, n_groups(work));
  const std::uint32_t together = blocks(work.n_rows * std::max(1u, work.n_used), groups);
  if (together <= Any::Few::tokens) return BlockShape::few_inputs;
  const std::uint64_t large =
      std::uint64_t{groups} * blocks(together, Any::Many::tokens) * blocks(work.matrix.rows, Any::Many::rows);
  return large < enough_blocks ? BlockShape::some_inputs : BlockShape::many_inputs;
}

void multiply_in(Runtime& runtime, const Multiply& work, BlockShape shape) {
  const MatmulJob job = prepare(runtime, work, shape);
  visit_kernels(*work.matrix.format, [&]<class Kernels>() {
    if (shape == BlockShape::few_inputs) launch<typename Kernels::Few>(runtime, work, job);
    if (shape == BlockShape::some_inputs) launch<typename Kernels::Some>(runtime, work, job);
    if (shape == BlockShape::many_inputs) launch<typename Kernels::Many>(runtime, work, job);
    if (shape == BlockShape::by_warpgroups) launch<typename Kernels::Warpgroups>(runtime, work, job);
  });
}

const MatrixFamily fragments_family{
    .name = "fragments",
    .takes = takes,
    .row_tile = tile_rows,
    .tile_bytes = tile_bytes,
    .pack_tile = pack_fragments,
    .scratch_bytes = scratch_bytes,
    .look_up = look_up,
    .multiply = multiply,
    .converts = true,
    .n_in_tiles = n_in_tiles,
    .gates = true,
};

}  // namespace nibble::inline v0::cuda
