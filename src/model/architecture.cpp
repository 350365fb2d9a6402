// The registry behind arch/all.hpp, and finding the architecture that a checkpoint names.
// Between the file stage and an architecture's own header.
#include "nibble/model/architecture.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "nibble/arch/all.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint32_t n_places = 256;

template <std::uint32_t place>
concept Taken = requires {
  ArchitectureAt<place>::value;
};

template <std::uint32_t... places>
constexpr auto collect(std::integer_sequence<std::uint32_t, places...>) {
  std::array<const Architecture*, (0 + ... + (Taken<places> ? 1 : 0))> found{};
  std::size_t n = 0;
  const auto add = [&]<std::uint32_t place>() {
    if constexpr (Taken<place>) found[n++] = ArchitectureAt<place>::value;
  };
  (add.template operator()<places>(), ...);
  return found;
}

constexpr auto list = collect(std::make_integer_sequence<std::uint32_t, n_places>());

std::string known_names(bool gguf) {
  std::string names;
  const auto add = [&](std::string_view name, std::string_view more) {
    names.append(names.empty() ? "" : ", ").append(name).append(more);
  };
  for (const Architecture* a : list) {
    if (gguf) add(a->name, a->mixture ? " with experts" : "");
    if (gguf) continue;
    for (std::string_view hf : a->hf_names) add(hf, "");
  }
  return names;
}

}  // namespace

std::span<const Architecture* const> architectures() noexcept { return list; }

const Architecture& find_architecture(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.container == Container::gguf;
  if (gguf && checkpoint.metadata.text("general.type", "model") == "adapter")
    throw checkpoint.metadata.error(ErrorCode::unsupported, "general.type", "'adapter'", "a whole model");
  const std::string_view key = gguf ? "general.architecture" : "architectures";
  std::string name;
  if (gguf) {
    name = checkpoint.metadata.text(key);
  } else if (const auto* names = checkpoint.metadata.texts(key); names != nullptr && !names->empty()) {
    name = names->front();
  } else {
    throw checkpoint.metadata.error(ErrorCode::missing, key, "", known_names(gguf));
  }
  const bool mixture = gguf && checkpoint.metadata.count(name + ".expert_count", 0) != 0;
  for (const Architecture* a : list) {
    if (gguf ? a->name == name && a->mixture == mixture
             : std::ranges::find(a->hf_names, name) != a->hf_names.end()) {
      return *a;
    }
  }
  throw checkpoint.metadata.error(ErrorCode::unsupported, key,
                                  "'" + name + "'" + (mixture ? " with experts" : ""), known_names(gguf));
}

}  // namespace nibble::inline v0
