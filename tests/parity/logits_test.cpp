// Every parity model, from both containers and on every CPU backend, against what transformers computed.
// The whole flow from file to logits; fixtures are described in tests/parity/README.md.
#include <string>

#include "kernels/cpu/dispatch.hpp"
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

const std::filesystem::path fixtures = NIBBLE_SOURCE_DIR "/tests/parity/fixtures";

std::filesystem::path gguf_of(const std::filesystem::path& folder) {
  return exists(folder / "model.gguf") ? folder / "model.gguf" : folder / "model-00001-of-00003.gguf";
}

// Every model folder; with_gguf: those that are there as GGUF, too.
std::vector<std::string> models(bool with_gguf) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures)) {
    if (exists(entry.path() / "expected.json") && (!with_gguf || exists(gguf_of(entry.path()))))
      names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

// The reference, and each tier that runs here.
std::vector<EngineOptions> backends() {
  std::vector<EngineOptions> options{{.backend = "reference"}};
  for (const cpu::Tier& tier : cpu::tiers())
    if (cpu::runs_here(tier)) options.push_back({.backend = "cpu", .isa = std::string(tier.table->tier)});
  return options;
}

std::vector<float> logits_of(Engine& engine, const std::vector<TokenId>& tokens) {
  Sequence sequence = engine.make_sequence();
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = Outputs::all};
  return engine.step({&input, 1});
}

std::vector<TokenId> greedy(const Engine& engine, const std::vector<TokenId>& prompt, std::size_t n) {
  Session session(engine);
  session.append(prompt);
  const GenerateOptions options{
      .max_tokens = static_cast<std::uint32_t>(n), .temperature = 0, .ignore_end = true};
  std::vector<TokenId> ids;
  for (const GeneratedToken& t : session.generate("", options).tokens) ids.push_back(t.token);
  return ids;
}

}  // namespace

TEST_CASE("parity: logits and greedy tokens equal those of transformers") {
  const std::string name = GENERATE(from_range(models(false)));
  EngineOptions options = GENERATE(from_range(backends()));
  const bool hf = GENERATE(false, true);
  CAPTURE(name, options.backend, options.isa, hf);

  const std::filesystem::path folder = fixtures / name;
  if (!hf && !exists(gguf_of(folder))) return;
  // It rounds what weights of BF16 are multiplied with, and nothing else: the operator table has those.
  if (options.isa == "avx512_bf16" && name == "llama-bf16") return;
  const nlohmann::json expected = read_json(folder / "expected.json");
  // Coded experts: tiers that round what these read to int8 give what a model gives that does so in float64.
  const bool rounds = options.backend == "cpu" && expected.value("isa", options.isa) != options.isa;
  const auto prompt = expected["prompt_ids"].get<std::vector<TokenId>>();
  const Model model = Model::open(hf ? folder / "hf" : gguf_of(folder));
  options.threads = 2;
  options.context = expected.value("context", 256u);
  options.kv = KvType::F32;
  Engine engine(model, options);

  const auto wanted = read_floats(folder / (rounds ? "logits_int8.f32" : "logits.f32"));
  CHECK(largest_difference(logits_of(engine, prompt), wanted) <= 1e-4);
  if (rounds) return;

  const auto ids = expected["greedy_ids"].get<std::vector<TokenId>>();
  CHECK(greedy(engine, prompt, ids.size()) == ids);
}

TEST_CASE("parity: a Hugging Face folder and a GGUF file of the same weights give the same bits") {
  const std::string name = GENERATE(from_range(models(true)));
  CAPTURE(name);
  const std::filesystem::path folder = fixtures / name;
  const nlohmann::json expected = read_json(folder / "expected.json");
  const auto prompt = expected["prompt_ids"].get<std::vector<TokenId>>();
  std::vector<std::vector<float>> logits;
  for (const auto& path : {folder / "hf", gguf_of(folder)}) {
    Engine engine(Model::open(path), {.threads = 1, .context = expected.value("context", 256u)});
    logits.push_back(logits_of(engine, prompt));
  }
  CHECK(std::ranges::equal(logits[0], logits[1]));
}
