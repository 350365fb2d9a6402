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
  for (const auto& [name, tensor] : model.checkpoint.tensors) model.tensors.push_back({&tensor});
}

void read_folder(SourceModel& model) {
  const nibble::Checkpoint& checkpoint = model.checkpoint;
  const nibble::Architecture& architecture = nibble::find_architecture(checkpoint);
  const nibble::Limits limits;
  const nibble::Config config =
      architecture.config(nibble::ConfigReader(checkpoint, architecture.name, limits));
  if (const std::string untold = first_untold(config); !untold.empty()) {
    throw Failure(bad_model, checkpoint.source + ": GGUF has no key for " + untold + " as this model has it");
  }
  model.weights = nibble::Weights::resolve(checkpoint, architecture.tensors(config), config);
  for (nibble::WeightId id = 0; id < model.weights->size(); ++id) {
    const nibble::Weight& weight = (*model.weights)[id];
    model.tensors.push_back({&weight.tensor, weight.order.empty() ? nullptr : &weight.order});
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
      return std::pair(a.tensor->source, a.tensor->offset) < std::pair(b.tensor->source, b.tensor->offset);
    });
    return model;
  });
}

}  // namespace cli
