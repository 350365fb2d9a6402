// A checkpoint's tensors resolved against an architecture's table: every weight found, typed, shaped, in one
// naming. Between the file stage and the plan; also the one place where container conventions (row order,
// norm offset) end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/core/tensor.hpp"
#include "nibble/file/checkpoint.hpp"
#include "nibble/model/config.hpp"

namespace nibble::inline v0 {

using WeightId = std::uint32_t;
inline constexpr WeightId no_weight = ~0u;

// What sets a tensor apart from a plain required one; combined with |.
enum TensorTraits : std::uint32_t {
  optional_tensor = 1,
  padded_rows = 2,  // more rows than asked are padding, and ignored
  // The rows of q and k, whose order differs: Hugging Face files keep the two halves of a head apart, GGUF
  // (of the llama converter) interleaves them. Loading reorders the former into the latter, so that both give
  // the same bits.
  rope_rows = 4,
  // A norm weight that multiplies as 1 + w: so stored in Hugging Face files of some families, while GGUF has
  // the sum.
  plus1 = 8,
  // Hugging Face files keep gate and up of gpt-oss in one tensor: rows 0, 2, ... and 1, 3, ...
  even_rows = 64,
  odd_rows = 128,
};

// One row of an architecture's tensor table. "{L}" in a name stands for the layer number, "{E}" for an
// expert's.
struct TensorRow {
  std::string_view name;     // GGUF name: "blk.{L}.attn_q.weight"
  std::string_view hf_name;  // "model.layers.{L}.self_attn.q_proj.weight"; empty: GGUF only
  std::uint64_t rows = 0;    // 0: a vector of `cols`
  std::uint64_t cols = 0;
  std::uint32_t traits = 0;
  // So many of it, in one tensor (experts, rows, cols), or in one for each: where `hf_name` has an "{E}", and
  // in old GGUF files ("ffn_gate.{E}" for "ffn_gate_exps"); or, in Hugging Face files, as MXFP4 in
  // "NAME_blocks" and "NAME_scales". Each becomes a weight of its own, with consecutive ids.
  std::uint32_t experts = 0;
};

struct Weight {
  Tensor tensor;  // named as in GGUF; shape (rows, cols) or (cols)
  std::shared_ptr<const std::vector<std::byte>>
      own;  // where the bytes are not the file's: what tensor.bytes points into
  // Where columns are stored in another order than the inputs they belong to: column k is of input order[k].
  std::vector<std::uint32_t> order = {};
};

class NIBBLE_API Weights {
 public:
  // Finds every row of `table` (once per layer where it names one) in the checkpoint; in a Hugging Face model
  // of text and images, in its text part. Tensors that no row names are left alone. Matrices of GPTQ and AWQ
  // become blocks (src/model/four_bit.hpp). Errors: missing, shape_mismatch, unsupported (a format this build
  // does not decode, a vector that is not F32, F16 or BF16, a quantisation of another kind), out_of_range
  // (group size, g_idx), out_of_memory.
  static Weights resolve(const Checkpoint& checkpoint, std::span<const TensorRow> table,
                         const Config& config);

  const Weight& operator[](WeightId id) const { return weights_[id]; }
  std::size_t size() const noexcept { return weights_.size(); }
  // no_weight where the checkpoint lacks it; of experts the first.
  WeightId find(std::string_view name) const noexcept;
  // The weight of this name; Error(internal) where the architecture's table does not require it.
  WeightId get(std::string_view name) const;
  // A 1-D weight as floats (F32, F16, BF16 decoded).
  std::vector<float> vector(WeightId id) const;

  const std::vector<std::shared_ptr<const ByteSource>>& files() const noexcept { return files_; }

 private:
  void add(const Checkpoint& checkpoint, const TensorRow& row, std::uint32_t layer, const Config& config);

  std::vector<Weight> weights_;
  std::map<std::string, WeightId, std::less<>> by_name_;
  std::vector<std::shared_ptr<const ByteSource>> files_;  // keeps the bytes alive
};

// "blk.{L}.attn_q.weight", 3 -> "blk.3.attn_q.weight"
NIBBLE_API std::string layer_name(std::string_view pattern, std::uint32_t layer);
// The shape of a row's tensor in a GGUF file.
NIBBLE_API Shape file_shape(const TensorRow& row);

}  // namespace nibble::inline v0
