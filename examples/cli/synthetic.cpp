// The tensor table comes from the library's architecture, the formats from the same mixes as quantize.
// See synthetic.hpp.
#include "synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "gguf_keys.hpp"
#include "mixes.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/model/architecture.hpp"
#include "nibble/quant/formats.hpp"
#include "parallel.hpp"
#include "presets.hpp"
#include "random_weights.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr std::size_t part_elements = std::size_t{1} << 18;

void fill_matrix(const nibble::Format& format, const nibble::Shape& shape, std::uint64_t seed,
                 std::uint32_t threads, const std::stop_token& stop, std::span<std::byte> out) {
  // Keeps activations at the size they came in with.
  const float deviation = 1.0f / std::sqrt(static_cast<float>(shape.cols()));
  const std::size_t row = nibble::row_bytes(format, shape.cols());
  const std::size_t step = row * std::max<std::size_t>(1, part_elements / shape.cols());
  for_each_part((out.size() + step - 1) / step, threads, stop, [&](std::size_t part) {
    const std::size_t begin = part * step;
    fill_random(format, deviation, seed ^ part << 20, out.subspan(begin, std::min(step, out.size() - begin)));
  });
}

// What every file of the architecture has, and what this preset's has.
bool has_tensor(const Preset& preset, const nibble::TensorRow& row) {
  if ((row.traits & nibble::optional_tensor) == 0) return true;
  if (row.name == "output.weight") return !preset.tied;
  if (row.name == "rope_freqs.weight") return rope_of(preset).scaling == nibble::RopeScaling::llama3;
  return row.name.starts_with("rope_factors_") && preset.stretch == Stretch::longrope;
}

// The architecture's table with its layers written out: those outside the layers first.
std::vector<std::pair<std::string, nibble::Shape>> list_tensors(const Preset& preset,
                                                                const nibble::Metadata& metadata) {
  nibble::Checkpoint checkpoint;
  checkpoint.source = preset.name;
  checkpoint.metadata = metadata;
  const nibble::Architecture& architecture = nibble::find_architecture(checkpoint);
  const nibble::Config config = read_keys(metadata);
  std::vector<nibble::TensorRow> rows = architecture.tensors(config);
  std::erase_if(rows, [&](const nibble::TensorRow& row) { return !has_tensor(preset, row); });
  std::vector<std::pair<std::string, nibble::Shape>> tensors;
  const auto in_layer = [](const nibble::TensorRow& row) { return row.name.find("{L}") != row.name.npos; };
  for (const nibble::TensorRow& row : rows) {
    if (!in_layer(row)) tensors.emplace_back(row.name, nibble::file_shape(row));
  }
  for (std::uint32_t layer = 0; layer < config.n_layers; ++layer) {
    for (const nibble::TensorRow& row : rows) {
      if (in_layer(row)) tensors.emplace_back(nibble::layer_name(row.name, layer), nibble::file_shape(row));
    }
  }
  return tensors;
}

// Norms pass what they get, biases add nothing, and long contexts turn up to 64 times slower.
std::vector<float> vector_values(const std::string& name, std::size_t n) {
  const bool is_norm = name.ends_with("norm.weight");
  std::vector<float> values(n, is_norm || name.starts_with("rope_factors_") ? 1.0f : 0.0f);
  if (name == "rope_factors_long.weight") {
    for (std::size_t i = 0; i < n; ++i) values[i] += 63.0f * static_cast<float>(i) / static_cast<float>(n);
  }
  return values;
}

nibble::GgufTensor make_tensor(const Synthetic& model, const std::string& name, const nibble::Shape& shape,
                               const nibble::Format& format, std::uint64_t number,
                               const std::stop_token& stop) {
  const std::uint64_t seed = (model.seed << 48) ^ (number << 40);
  return {name, format.dtype, shape, [&, shape, seed](std::span<std::byte> out) {
            fill_matrix(format, shape, seed, model.threads, stop, out);
          }};
}

std::vector<nibble::GgufTensor> make_tensors(const Synthetic& model, const Preset& preset,
                                             const nibble::Metadata& metadata, const std::stop_token& stop) {
  const Mix& mix = find_mix(model.type);
  ModelFacts facts = read_facts(metadata);
  facts.tied = preset.tied;
  std::vector<nibble::GgufTensor> tensors;
  for (const auto& [name, shape] : list_tensors(preset, metadata)) {
    if (shape.rank() > 1) {
      const nibble::Format& format = choose_format(mix, facts, name, shape);
      tensors.push_back(make_tensor(model, name, shape, format, tensors.size(), stop));
    } else if (name == "rope_freqs.weight") {
      for (nibble::GgufTensor& tensor : rope_tensors(rope_of(preset))) tensors.push_back(std::move(tensor));
    } else {
      tensors.push_back(make_vector(name, vector_values(name, shape.cols())));
    }
  }
  return tensors;
}

}  // namespace

std::size_t write_synthetic(const Synthetic& model, const std::filesystem::path& path,
                            const std::stop_token& stop) {
  Preset preset = find_preset(model.preset);
  if (model.layers != 0) preset.n_layers = std::min(preset.n_layers, model.layers);
  nibble::Metadata metadata = metadata_of(preset);
  metadata.set("general.file_type", std::int64_t{file_type(find_mix(model.type))});
  metadata.set("general.quantization_version", std::int64_t{2});
  const std::vector<nibble::GgufTensor> tensors = make_tensors(model, preset, metadata, stop);

  ProgressBar bar;
  nibble::Watch watch;
  watch.stop = stop;
  watch.progress = [&](nibble::Stage, std::uint64_t done, std::uint64_t total) {
    bar.show("writing", done, total);
  };
  nibble::write_gguf(path, metadata, tensors, watch);
  return tensors.size();
}

}  // namespace cli
