// What an architecture is: names it answers to, how it reads its hyperparameters, its tensor table and its
// plan. Implemented by each header in arch/, listed in arch/all.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/file/checkpoint.hpp"
#include "nibble/model/config.hpp"
#include "nibble/model/plan.hpp"
#include "nibble/model/weights.hpp"

namespace nibble::inline v0 {

struct Architecture {
  std::string_view name;                       // GGUF's general.architecture
  std::span<const std::string_view> hf_names;  // config.json's architectures[0]
  Config (*config)(const ConfigReader& read);
  std::vector<TensorRow> (*tensors)(const Config& config);
  Plan (*plan)(const Config& config, const Weights& weights);
  std::string_view models = {};  // released models of this kind, as README's table has them
  bool mixture = false;  // GGUF: for files with experts; else for those without, which may share the name
};

// The architecture in this numbered place, or nothing: each arch header specialises it for a free number.
template <std::uint32_t number>
struct ArchitectureAt {};

// All architectures of arch/all.hpp.
NIBBLE_API std::span<const Architecture* const> architectures() noexcept;

// The architecture a checkpoint names. Errors: missing, wrong_type; unsupported with the list of those that
// work.
NIBBLE_API const Architecture& find_architecture(const Checkpoint& checkpoint);

}  // namespace nibble::inline v0
