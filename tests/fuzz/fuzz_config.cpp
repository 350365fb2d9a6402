// Fuzzes hyperparameters, config.json or the metadata of a GGUF file, as far as the plan: any bytes give an
// Error or a plan that every backend accepts. See tests/fuzz/CMakeLists.txt for how to run it.
#include <cmath>
#include <string_view>
#include <vector>

#include "fuzz/oracle.hpp"
#include "nibble/backend/check.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/model/architecture.hpp"
#include "src/file/config_json.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;

namespace {

Limits small_limits() {
  Limits limits;
  limits.layers = 16;
  return limits;
}

Checkpoint read(const std::uint8_t* data, std::size_t size, const Limits& limits) {
  Checkpoint checkpoint;
  checkpoint.source = "input";
  if (std::string_view(reinterpret_cast<const char*>(data), size).starts_with("GGUF")) {
    checkpoint.metadata = parse_gguf(*fuzz::as_source(data, size), limits).metadata;
    return checkpoint;
  }
  static const test::TempFolder folder;
  const auto path = folder.write("config.json", {reinterpret_cast<const char*>(data), size});
  checkpoint.container = Container::safetensors;
  checkpoint.metadata = read_config_json(path, limits);
  return checkpoint;
}

const std::vector<float> ones(1 << 18, 1.0f);  // the bytes of every tensor

// A row's tensors in one layer, under their names; experts in one tensor, in one for each, or as MXFP4.
std::vector<std::pair<std::string, Shape>> tensors_of(const TensorRow& row, const std::string& name,
                                                      bool hf) {
  if (!hf || row.experts == 0) return {{name, file_shape(row)}};
  std::vector<std::pair<std::string, Shape>> tensors;
  const std::size_t number = name.find("{E}");
  const std::uint64_t both = (row.traits & (even_rows | odd_rows)) != 0 ? 2 : 1;
  if (number == name.npos && row.rows == 0) return {{name, {row.experts, both * row.cols}}};
  if (number == name.npos) {
    return {{name + "_blocks", {row.experts, both * row.rows, row.cols / 32, 16}},
            {name + "_scales", {row.experts, both * row.rows, row.cols / 32}}};
  }
  for (std::uint32_t e = 0; e < row.experts; ++e)
    tensors.emplace_back(std::string(name).replace(number, 3, std::to_string(e)), Shape{row.rows, row.cols});
  return tensors;
}

// Every tensor of the table; false where that would take much memory.
bool add_tensors(Checkpoint& checkpoint, std::span<const TensorRow> table, const Config& config,
                 bool optional) {
  const bool hf = checkpoint.container == Container::safetensors;
  for (const TensorRow& row : table) {
    const std::uint64_t rows = 2 * std::max<std::uint64_t>(row.rows, 1) * std::max(row.experts, 1u);
    if (row.experts > 64 || row.cols > ones.size() ||
        rows > ones.size() / std::max<std::uint64_t>(row.cols, 1))
      return false;
    const std::string_view pattern = hf ? row.hf_name : row.name;
    if (pattern.empty() || ((row.traits & optional_tensor) != 0 && !optional)) continue;
    for (std::uint32_t layer = 0; layer < config.n_layers; ++layer) {
      for (const auto& [name, shape] : tensors_of(row, layer_name(pattern, layer), hf)) {
        const bool bytes = name.ends_with("_blocks") || name.ends_with("_scales");
        checkpoint.tensors[name] = {
            .name = name,
            .dtype = Dtype::F32,
            .shape = shape,
            .bytes = std::as_bytes(std::span(ones)).first(shape.elements() * (bytes ? 1 : sizeof(float))),
            .source = "input"};
      }
    }
  }
  return true;
}

void demand_sound(const Config& c, const Limits& limits) {
  fuzz::demand(c.n_layers >= 1 && c.n_layers <= limits.layers && c.context_length >= 1);
  fuzz::demand(c.embed_dim >= 1 && c.ffn_dim >= 1 && c.head_dim >= 1 && c.vocab_size >= 1);
  fuzz::demand(c.n_kv_heads >= 1 && c.n_heads % c.n_kv_heads == 0);
  fuzz::demand(c.rope.dim % 2 == 0 && c.rope.dim <= c.head_dim && c.rope.base > 0);
  fuzz::demand(c.norm_eps > 0 && c.embedding_scale > 0 && c.residual_scale > 0 && c.logit_scale > 0);
  fuzz::demand(c.n_experts_used <= c.n_experts && (c.n_experts == 0 || c.expert_ffn_dim >= 1));
  fuzz::demand(c.global.empty() || c.global.size() == c.n_layers);
  fuzz::demand(c.no_rope.empty() || c.no_rope.size() == c.n_layers);
}

void run(const std::uint8_t* data, std::size_t size) {
  const Limits limits = small_limits();
  Checkpoint checkpoint = read(data, size, limits);
  const Architecture& architecture = find_architecture(checkpoint);
  Config config = architecture.config(ConfigReader(checkpoint, architecture.name, limits));
  demand_sound(config, limits);
  const std::vector<TensorRow> table = architecture.tensors(config);
  if (!add_tensors(checkpoint, table, config, size % 2 == 0)) return;
  const Weights weights = Weights::resolve(checkpoint, table, config);
  for (const std::uint32_t context : {1u, config.context_length, limits.context}) {
    config.rope.context = config.local_rope.context = context;
    const Plan plan = architecture.plan(config, weights);
    check_plan(plan, weights);
    fuzz::demand(plan.kv.size() == config.n_layers && plan.vocab_size == config.vocab_size);
    for (const RopeTable& rope : plan.ropes) {
      fuzz::demand(rope.inverse_frequency.size() == config.rope.dim / 2 && std::isfinite(rope.magnitude));
      for (const float frequency : rope.inverse_frequency) fuzz::demand(std::isfinite(frequency));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    run(data, size);
  } catch (const Error& error) {
    fuzz::demand(error.code() != ErrorCode::internal && error.code() != ErrorCode::out_of_memory);
    fuzz::demand(!error.source().empty() && (!error.field().empty() || !error.position().empty()));
  } catch (...) {
    fuzz::demand(false);
  }
  return 0;
}
