// An opened model: its files, hyperparameters, weights, tokenizer and plan. Immutable.
// What the left half of the flow produces and every Engine shares.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "nibble/core/limits.hpp"
#include "nibble/core/watch.hpp"
#include "nibble/file/checkpoint.hpp"
#include "nibble/model/architecture.hpp"
#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

struct ModelOptions {
  LoadMode load = LoadMode::map;
  Limits limits = {};
  Watch watch = {};
};

// A cheap handle, safe to copy and to use from any thread.
class NIBBLE_API Model {
 public:
  // Opens a .gguf file or a folder with config.json and *.safetensors (see Checkpoint::open) and checks all
  // of it: nothing is left to fail later for the file's sake. Errors: those of Checkpoint::open,
  // find_architecture, check_config, Weights::resolve and Tokenizer::load.
  static Model open(const std::filesystem::path& path, const ModelOptions& options = {});

  const Checkpoint& checkpoint() const noexcept;
  const Config& config() const noexcept;
  const Weights& weights() const noexcept;
  const Plan& plan() const noexcept;
  // The plan for engines of this context: plan() but for the rotary tables, where those depend on the context
  // (dynamic, longrope). plan() itself is for the context the model was trained for.
  Plan plan(std::uint32_t context) const;
  const Tokenizer& tokenizer() const noexcept;
  const Limits& limits() const noexcept;
  // Identifies what a saved state belongs to: a hash over the plan and every tensor's name, type, shape and a
  // sample of its bytes.
  std::uint64_t fingerprint() const noexcept;

 private:
  struct State;
  explicit Model(std::shared_ptr<const State> state) noexcept;
  std::shared_ptr<const State> state_;
};

}  // namespace nibble::inline v0
