// The tensor table comes from the library's architecture, the formats from the same mixes as quantize.
// See synthetic.hpp.
#include "synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

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

// GGUF's rope_freqs: what llama3 scaling divides each frequency by.
std::vector<float> rope_divisors(const nibble::RopeConfig& scaled) {
  nibble::RopeConfig plain = scaled;
  plain.scaling = nibble::RopeScaling::none;
  const auto frequencies = [](const nibble::RopeConfig& rope) {
    return nibble::make_rope(rope, nibble::RopePairs::adjacent, nibble::no_weight, {}).inverse_frequency;
  };
  std::vector<float> divisors = frequencies(plain);
  const std::vector<float> stretched = frequencies(scaled);
  for (std::size_t i = 0; i < divisors.size(); ++i) divisors[i] /= stretched[i];
  return divisors;
}

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

void fill_vector(const std::vector<float>& values, std::span<std::byte> out) {
  std::memcpy(out.data(), values.data(), out.size());
}

// The architecture's table with its layers written out: what every file has, and what this preset's has.
std::vector<std::pair<std::string, nibble::Shape>> list_tensors(const Preset& preset) {
  const auto all = nibble::architectures();
  const auto architecture = std::find_if(all.begin(), all.end(), [&](const nibble::Architecture* candidate) {
    return candidate->name == preset.architecture;
  });
  std::vector<std::pair<std::string, nibble::Shape>> tensors;
  const std::vector<nibble::TensorRow> rows = (*architecture)->tensors(config_of(preset));
  const auto add = [&](const nibble::TensorRow& row, std::uint32_t layer) {
    const bool has_it = (row.traits & nibble::optional_tensor) == 0 ||
                        (row.name == "output.weight" && !preset.tied) ||
                        (row.name == "rope_freqs.weight" && preset.llama3_factor != 0);
    const nibble::Shape shape = row.rows == 0 ? nibble::Shape{row.cols} : nibble::Shape{row.rows, row.cols};
    if (has_it) tensors.emplace_back(nibble::layer_name(row.name, layer), shape);
  };
  const auto in_layer = [](const nibble::TensorRow& row) { return row.name.find("{L}") != row.name.npos; };
  for (const nibble::TensorRow& row : rows) {
    if (!in_layer(row)) add(row, 0);
  }
  for (std::uint32_t layer = 0; layer < preset.n_layers; ++layer) {
    for (const nibble::TensorRow& row : rows) {
      if (in_layer(row)) add(row, layer);
    }
  }
  return tensors;
}

nibble::GgufTensor make_tensor(const Synthetic& model, const std::string& name, const nibble::Shape& shape,
                               const nibble::Format& format, std::uint64_t number,
                               const std::stop_token& stop) {
  const std::uint64_t seed = (model.seed << 48) ^ (number << 40);
  return {name, format.dtype, shape, [&, shape, seed](std::span<std::byte> out) {
            fill_matrix(format, shape, seed, model.threads, stop, out);
          }};
}

std::vector<nibble::GgufTensor> make_tensors(const Synthetic& model, const Preset& preset, const Mix& mix,
                                             const std::stop_token& stop) {
  const ModelFacts facts{preset.n_layers, preset.n_heads, preset.n_kv_heads, 0, preset.tied};
  std::vector<nibble::GgufTensor> tensors;
  for (const auto& [name, shape] : list_tensors(preset)) {
    if (shape.rank() > 1) {
      const nibble::Format& format = choose_format(mix, facts, name, shape);
      tensors.push_back(make_tensor(model, name, shape, format, tensors.size(), stop));
      continue;
    }
    std::vector<float> values(shape.cols(), 1.0f);  // of a norm
    if (name == "rope_freqs.weight") values = rope_divisors(config_of(preset).rope);
    tensors.push_back(
        {name, nibble::Dtype::F32, shape, [values](std::span<std::byte> out) { fill_vector(values, out); }});
  }
  return tensors;
}

}  // namespace

std::size_t write_synthetic(const Synthetic& model, const std::filesystem::path& path,
                            const std::stop_token& stop) {
  const Preset& preset = find_preset(model.preset);
  const Mix& mix = find_mix(model.type);
  nibble::Metadata metadata = metadata_of(preset);
  metadata.set("general.file_type", std::int64_t{file_type(mix)});
  metadata.set("general.quantization_version", std::int64_t{2});
  const std::vector<nibble::GgufTensor> tensors = make_tensors(model, preset, mix, stop);

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
