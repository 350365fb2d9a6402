// Whole models through the CUDA backend: close to what transformers computed, the same bits whatever shares a
// batch and however a text is cut, pages that can be copied, read and written, and stops.
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/thrown.hpp"
#include "tests/cuda/subject.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

// A program that was built elsewhere is told where they are.
const std::filesystem::path fixtures = std::getenv("NIBBLE_FIXTURES") != nullptr
                                           ? std::getenv("NIBBLE_FIXTURES")
                                           : NIBBLE_SOURCE_DIR "/tests/parity/fixtures";
constexpr std::uint32_t chunk = 256;

nlohmann::json expected_of(const std::string& name) { return read_json(fixtures / name / "expected.json"); }

// Those that are held to their logits whatever rounds inputs of codes to int8.
std::vector<std::string> models() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures))
    if (exists(entry.path() / "expected.json") && exists(entry.path() / "model.gguf") &&
        !expected_of(entry.path().filename().string()).contains("isa"))
      names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

// A model on the backend, and its sequences.
class Loaded {
 public:
  explicit Loaded(const std::string& name, KvType kv = KvType::F32)
      : model_(Model::open(fixtures / name / "model.gguf")) {
    const std::uint32_t context = expected_of(name).value("context", 256u);
    plan_ = model_.plan(context);
    options_.max_tokens = options_.max_outputs = chunk;
    options_.kv_type = kv;
    options_.kv_pages = static_cast<std::uint32_t>(3 * kv_pages_needed(plan_.kv, context, chunk));
    backend_ = make_subject(options_);
    backend_->prepare(plan_, model_.weights(), {});
    cache_.emplace(plan_.kv, options_.kv_pages);
  }

  struct Item {
    KvSequence* sequence;
    std::vector<TokenId> tokens;
  };

  KvSequence make() { return cache_->make_sequence(); }
  KvSequence fork(const KvSequence& sequence) { return cache_->fork(sequence); }

  // The logits of every token, item by item.
  std::vector<float> run(const std::vector<Item>& items, const std::stop_token& stop = {}) {
    std::vector<std::int32_t> tokens;
    std::vector<std::uint32_t> positions, owner, outputs;
    std::vector<BatchSequence> sequences;
    for (const Item& item : items) {
      const auto n = static_cast<std::uint32_t>(item.tokens.size());
      backend_->copy_pages(cache_->reserve(*item.sequence, n));
      for (std::uint32_t i = 0; i < n; ++i) {
        outputs.push_back(static_cast<std::uint32_t>(tokens.size()));
        tokens.push_back(item.tokens[i]);
        positions.push_back(item.sequence->length + i);
        owner.push_back(static_cast<std::uint32_t>(sequences.size()));
      }
      sequences.push_back({item.sequence});
    }
    std::vector<float> logits(outputs.size() * std::size_t{plan_.vocab_size});
    backend_->run({tokens, positions, owner, outputs, sequences}, logits, stop);
    for (const Item& item : items)
      cache_->commit(*item.sequence, static_cast<std::uint32_t>(item.tokens.size()));
    return logits;
  }

  std::vector<float> run_in_chunks(KvSequence& sequence, const std::vector<TokenId>& tokens,
                                   std::size_t at_a_time) {
    std::vector<float> logits;
    for (std::size_t i = 0; i < tokens.size(); i += at_a_time) {
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i);
      const auto n = static_cast<std::ptrdiff_t>(std::min(at_a_time, tokens.size() - i));
      const std::vector<float> next = run({{&sequence, {begin, begin + n}}});
      logits.insert(logits.end(), next.begin(), next.end());
    }
    return logits;
  }

  Backend& backend() { return *backend_; }
  std::uint64_t page_bytes() const { return kv_page_bytes(plan_.kv, options_.kv_type); }

 private:
  Model model_;
  Plan plan_;
  BackendOptions options_;
  std::unique_ptr<Backend> backend_;
  std::optional<KvCache> cache_;
};

std::vector<TokenId> prompt_of(const std::string& name) {
  return expected_of(name)["prompt_ids"].get<std::vector<TokenId>>();
}

}  // namespace

TEST_CASE("cuda: logits equal those of transformers") {
  const std::string name = GENERATE(from_range(models()));
  CAPTURE(name);
  Loaded loaded(name);
  KvSequence sequence = loaded.make();
  const std::vector<float> logits = loaded.run_in_chunks(sequence, prompt_of(name), chunk);
  CHECK(largest_difference(logits, read_floats(fixtures / name / "logits.f32")) <= 1e-4);
}

TEST_CASE("cuda: the same bits for every cut of a text, beside others, and from a fork") {
  const KvType kv = GENERATE(KvType::F16, KvType::F32);
  const std::string name = "llama-headdim";
  const std::vector<TokenId> prompt = prompt_of(name);
  const auto half = prompt.begin() + static_cast<std::ptrdiff_t>(prompt.size() / 2);
  Loaded loaded(name, kv);
  KvSequence alone = loaded.make();
  const std::vector<float> expected = loaded.run_in_chunks(alone, prompt, prompt.size());
  KvSequence cut = loaded.make();
  CHECK(loaded.run_in_chunks(cut, prompt, 1) == expected);

  KvSequence beside = loaded.make(), first = loaded.make();
  std::vector<float> logits =
      loaded.run({{&beside, {prompt.rbegin(), prompt.rend()}}, {&first, {prompt.begin(), half}}});
  KvSequence second = loaded.fork(first);
  const std::vector<float> rest =
      loaded.run({{&second, {half, prompt.end()}}, {&first, {half, prompt.end()}}});
  const std::size_t n = rest.size() / 2;
  CHECK(std::equal(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(n),
                   expected.end() - static_cast<std::ptrdiff_t>(n)));
  CHECK(std::equal(rest.begin() + static_cast<std::ptrdiff_t>(n), rest.end(),
                   expected.end() - static_cast<std::ptrdiff_t>(n)));
}

TEST_CASE("cuda: the same bits where passes are repeated, of several sequences and forks") {
  const std::string name = "llama-headdim";
  const std::vector<TokenId> prompt = prompt_of(name);
  const std::size_t half = prompt.size() / 2, width = expected_of(name)["logits_shape"][1];
  Loaded loaded(name);
  KvSequence alone = loaded.make();
  const std::vector<float> expected = loaded.run_in_chunks(alone, prompt, prompt.size());
  KvSequence other = loaded.make(), first = loaded.make();
  loaded.run({{&first, {prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(half)}}});
  KvSequence second = loaded.fork(first);
  for (std::size_t i = half; i < prompt.size(); ++i) {
    CAPTURE(i);
    const std::vector<float> got =
        loaded.run({{&first, {prompt[i]}}, {&other, {prompt[i - half]}}, {&second, {prompt[i]}}});
    const auto row = [&](std::size_t r) { return expected.begin() + static_cast<std::ptrdiff_t>(r * width); };
    REQUIRE(std::equal(row(i), row(i + 1), got.begin()));
    REQUIRE(std::equal(row(i - half), row(i - half + 1), got.begin() + static_cast<std::ptrdiff_t>(width)));
    REQUIRE(std::equal(row(i), row(i + 1), got.begin() + static_cast<std::ptrdiff_t>(2 * width)));
  }
}

TEST_CASE("cuda: pages are read back as they were written") {
  Loaded loaded("llama-headdim", KvType::F16);
  std::vector<std::byte> in(loaded.page_bytes()), out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::byte>(i * 7);
  loaded.backend().write_page(1, in);
  const PageCopy copy{1, 2};
  loaded.backend().copy_pages({&copy, 1});
  loaded.backend().read_page(2, out);
  CHECK(out == in);
}

TEST_CASE("cuda: a stop ends a batch, and the next one runs") {
  Loaded loaded("llama-headdim");
  KvSequence sequence = loaded.make();
  std::stop_source source;
  source.request_stop();
  CHECK(thrown([&] {
          loaded.run({{&sequence, {1, 2, 3}}}, source.get_token());
        }).code() == ErrorCode::cancelled);
  CHECK(sequence.length == 0);
  CHECK_FALSE(loaded.run({{&sequence, {1, 2, 3}}}).empty());
}
