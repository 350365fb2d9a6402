// Rewrites a llama file as the toy family in the toy format, and runs it on the toy tier.
// Public interface only: what was added must be reachable through it.
#include <cstdio>
#include <cstring>
#include <string>

#include "nibble/file/gguf.hpp"
#include "nibble/nibble.hpp"
#include "nibble/quant/formats.hpp"

namespace {

using namespace nibble;

void require(bool condition, const char* what) {
  if (!condition) throw Error({.found = what});
}

// Matrices become TOY4, everything else stays as it is.
GgufTensor rewritten(const Tensor& tensor) {
  const Format& from = *find_format(tensor.dtype);
  const Format& to = tensor.shape.rank() == 2 ? *find_format("TOY4") : from;
  return {
      .name = tensor.name, .dtype = to.dtype, .shape = tensor.shape, .fill = [&](std::span<std::byte> out) {
        std::vector<float> values(tensor.shape.elements());
        from.decode(tensor.bytes.data(), values.data(), values.size());
        to.encode(values.data(), out.data(), values.size(), nullptr);
      }};
}

void write_toy(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Checkpoint checkpoint = Checkpoint::open(from);
  Metadata metadata;
  for (const auto& [key, entry] : checkpoint.metadata.entries()) {
    const bool own = key.starts_with("llama.");
    metadata.set(own ? "toy" + key.substr(5) : key, entry.value);
  }
  metadata.set("general.architecture", std::string("toy"));
  std::vector<GgufTensor> tensors;
  for (const auto& [name, tensor] : checkpoint.tensors) tensors.push_back(rewritten(tensor));
  write_gguf(to, metadata, tensors);
}

std::vector<float> logits(const Model& model, const EngineOptions& options) {
  Engine engine(model, options);
  Sequence sequence = engine.make_sequence();
  const TokenId tokens[] = {1, 5, 9, 2};
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = Outputs::all};
  return engine.step({&input, 1});
}

// The squared error over the squares of `exact`.
double relative_error(const std::vector<float>& got, const std::vector<float>& exact) {
  double error = 0, power = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    error += (double{got[i]} - exact[i]) * (double{got[i]} - exact[i]);
    power += double{exact[i]} * exact[i];
  }
  require(power > 0, "nothing to compare with");
  return error / power;
}

void use(const std::filesystem::path& llama, const std::filesystem::path& file) {
  require(find_format("TOY4") != nullptr, "the format is not in the list");
  write_toy(llama, file);
  const Model model = Model::open(file);
  require(model.config().architecture == "toy", "the architecture is not the one added");
  require(Engine::plan(model, {.isa = "toy"}).backend == "cpu/toy", "the tier is not the one added");

  const std::vector<float> toy = logits(model, {.isa = "toy", .threads = 2});
  require(toy == logits(model, {.isa = "portable", .threads = 1}), "the tiers disagree");
  const std::vector<float> exact = logits(model, {.backend = "reference"});
  // Activations of int8 cost at most 1e-4 in each of the matrices on the way; there are fifteen.
  require(relative_error(toy, exact) <= 15e-4, "the backends disagree");
  require(relative_error(logits(model, {}), exact) <= 15e-4, "this CPU's best tier disagrees");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 3, "usage: extended LLAMA.gguf OUT.gguf");
    use(argv[1], argv[2]);
    return 0;
  } catch (const nibble::Error& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
}
