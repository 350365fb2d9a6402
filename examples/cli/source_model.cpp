// GGUF files as they are; Hugging Face folders through the library's own architecture tables.
// See source_model.hpp.
#include "source_model.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "exit_code.hpp"
#include "gguf_keys.hpp"
#include "hf_tokenizer.hpp"
#include "nibble/model/architecture.hpp"

namespace cli {

namespace {

// All but how it was split.
void read_gguf(SourceModel& model) {
  for (const auto& [key, entry] : model.checkpoint.metadata.entries()) {
    if (!key.starts_with("split.")) model.metadata.set(key, entry.value);
  }
  for (const auto& [name, tensor] : model.checkpoint.tensors)
    model.tensors.push_back({name, tensor.shape, {&tensor}});
}

// What the folder has of a row; experts, which it keeps apart, together.
void add_weight(const nibble::TensorRow& row, const std::string& name, SourceModel& model) {
  const nibble::WeightId first = model.weights->find(name);
  if (first == nibble::no_weight) return;
  SourceTensor source{name, nibble::file_shape(row), {}};
  for (nibble::WeightId id = first; id < first + std::max(row.experts, 1u); ++id) {
    source.parts.push_back(&(*model.weights)[id].tensor);
  }
  const nibble::Weight& weight = (*model.weights)[first];
  if (!weight.order.empty()) source.order = &weight.order;
  model.tensors.push_back(std::move(source));
}

void read_folder(SourceModel& model) {
  const nibble::Checkpoint& checkpoint = model.checkpoint;
  const nibble::Architecture& architecture = nibble::find_architecture(checkpoint);
  const nibble::Limits limits;
  nibble::Config config = architecture.config(nibble::ConfigReader(checkpoint, architecture.name, limits));
  // By their names llama.cpp knows Phi-3's added tokens, which swallow white space.
  if (config.name.empty()) config.name = std::filesystem::weakly_canonical(checkpoint.folder).filename();
  if (const std::string untold = first_untold(config); !untold.empty()) {
    throw Failure(bad_model, checkpoint.source + ": GGUF has no key for " + untold + " as this model has it");
  }
  const std::vector<nibble::TensorRow> table = architecture.tensors(config);
  model.weights = nibble::Weights::resolve(checkpoint, table, config);
  for (const nibble::TensorRow& row : table) {
    const bool per_layer = row.name.find("{L}") != row.name.npos;
    for (std::uint32_t layer = 0; layer < (per_layer ? config.n_layers : 1); ++layer) {
      add_weight(row, nibble::layer_name(row.name, layer), model);
    }
  }
  model.metadata = gguf_keys(config);
  add_tokenizer(checkpoint, config.vocab_size, model.metadata);
  model.made = rope_tensors(config.rope);
}

}  // namespace

SourceModel open_source(const std::string& path, const std::stop_token& stop) {
  return opening([&] {
    SourceModel model;
    nibble::Watch watch;
    watch.stop = stop;
    model.checkpoint = nibble::Checkpoint::open(path, nibble::LoadMode::map, {}, watch);
    model.checkpoint.container == nibble::Container::gguf ? read_gguf(model) : read_folder(model);
    std::stable_sort(model.tensors.begin(), model.tensors.end(), [](const auto& a, const auto& b) {
      return std::pair(a.parts[0]->source, a.parts[0]->offset) <
             std::pair(b.parts[0]->source, b.parts[0]->offset);
    });
    return model;
  });
}

}  // namespace cli
