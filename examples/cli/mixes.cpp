// The table of mixes, as published files have them, and the few rules that read it.
// See mixes.hpp.
#include "mixes.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "exit_code.hpp"
#include "nibble/quant/formats.hpp"

namespace cli {

namespace {

// What a tensor is for. `output` is the embedding where that serves as the output matrix.
enum class Role { none, output, attn_qkv, attn_v, attn_k, attn_output, ffn_down, other };

// Layers a rule holds for, of n. `spread`: the first and last eighth, and every third between them.
enum class Layers { all, first_2, first_4, first_sixteenth, first_eighth, spread };

// `grouped`: 4 query heads or more share a KV head. `stacked`: matrices of experts.
enum class When { always, grouped, stacked, important, unimportant };

struct Rule {
  Role role = Role::none;
  std::string_view format;
  Layers layers = Layers::all;
  When when = When::always;
};

}  // namespace

// The first rule that holds decides; else `base`.
struct Mix {
  std::string_view name;
  std::uint32_t file_type;
  std::string_view base;
  std::array<Rule, 7> rules{};
  std::string_view experts_output = base;  // attn_output, where there are 8 experts
  bool same = false;                       // every matrix alike, whatever the model
};

namespace {

constexpr Rule output_q6{Role::output, "Q6_K"};

constexpr Mix mixes[] = {
    {"F32", 0, "F32"},
    {"F16", 1, "F16"},
    {"BF16", 32, "BF16"},
    {"Q8_0", 7, "Q8_0"},
    {"Q4_0", 2, "Q4_0", {{output_q6, {Role::ffn_down, "Q4_1", Layers::first_eighth, When::important}}}},
    {"Q4_1", 3, "Q4_1", {output_q6}},
    {"Q5_0", 8, "Q5_0", {{output_q6, {Role::ffn_down, "Q5_1", Layers::first_eighth, When::important}}}},
    {"Q5_1", 9, "Q5_1", {output_q6}},
    {"MXFP4_MOE",
     38,
     "Q8_0",
     {{{Role::ffn_down, "MXFP4", Layers::all, When::stacked},
       {Role::other, "MXFP4", Layers::all, When::stacked}}}},
    {"IQ4_NL",
     25,
     "IQ4_NL",
     {{output_q6,
       {Role::attn_v, "Q5_K", Layers::all, When::grouped},
       {Role::ffn_down, "Q5_K", Layers::first_eighth, When::unimportant}}},
     "Q5_K"},
    {"IQ4_XS",
     30,
     "IQ4_XS",
     {{output_q6,
       {Role::attn_v, "Q5_K", Layers::all, When::grouped},
       {Role::ffn_down, "Q5_K", Layers::first_eighth, When::unimportant}}},
     "Q5_K"},
    {"Q2_K",
     10,
     "Q2_K",
     {{output_q6,
       {Role::attn_v, "Q4_K", Layers::all, When::grouped},
       {Role::attn_v, "Q3_K"},
       {Role::attn_qkv, "Q3_K"},
       {Role::ffn_down, "Q3_K"},
       {Role::attn_output, "Q3_K"}}},
     "Q5_K"},
    {"Q2_K_S",
     21,
     "Q2_K",
     {{output_q6,
       {Role::attn_v, "Q4_K", Layers::all, When::grouped},
       {Role::ffn_down, "Q4_K", Layers::first_eighth}}}},
    {"Q3_K_S", 11, "Q3_K", {output_q6}, "Q5_K"},
    {"Q3_K_M",
     12,
     "Q3_K",
     {{output_q6,
       {Role::attn_v, "Q5_K", Layers::first_2},
       {Role::attn_v, "Q4_K"},
       {Role::attn_qkv, "Q4_K"},
       {Role::ffn_down, "Q5_K", Layers::first_sixteenth},
       {Role::ffn_down, "Q4_K"},
       {Role::attn_output, "Q4_K"}}},
     "Q5_K"},
    {"Q3_K_L",
     13,
     "Q3_K",
     {{output_q6,
       {Role::attn_v, "Q5_K"},
       {Role::attn_qkv, "Q4_K"},
       {Role::ffn_down, "Q5_K"},
       {Role::attn_output, "Q5_K"}}}},
    {"Q4_K_S",
     14,
     "Q4_K",
     {{output_q6, {Role::attn_v, "Q5_K", Layers::first_4}, {Role::ffn_down, "Q5_K", Layers::first_eighth}}},
     "Q5_K"},
    {"Q4_K_M",
     15,
     "Q4_K",
     {{output_q6,
       {Role::attn_v, "Q6_K", Layers::spread},
       {Role::attn_qkv, "Q5_K"},
       {Role::ffn_down, "Q6_K", Layers::spread}}},
     "Q5_K"},
    {"Q5_K_S", 16, "Q5_K", {output_q6}},
    {"Q5_K_M",
     17,
     "Q5_K",
     {{output_q6,
       {Role::attn_v, "Q6_K", Layers::spread},
       {Role::attn_qkv, "Q6_K"},
       {Role::ffn_down, "Q6_K", Layers::spread}}}},
    {"Q6_K", 18, "Q6_K"},
    // Every matrix the same; general.file_type has no number for them and takes the nearest.
    {"MXFP4", 38, "MXFP4", {}, "MXFP4", true},
    {"Q3_K", 11, "Q3_K", {}, "Q3_K", true},
    {"Q4_K", 14, "Q4_K", {}, "Q4_K", true},
    {"Q5_K", 16, "Q5_K", {}, "Q5_K", true},
};

// What takes a format's place where its block does not divide the columns.
struct Fallback {
  std::string_view format, instead;
};
constexpr Fallback fallbacks[] = {
    {"Q2_K", "Q4_0"}, {"Q3_K", "Q4_0"}, {"Q4_K", "Q5_0"},
    {"Q5_K", "Q5_1"}, {"Q6_K", "Q8_0"}, {"IQ4_XS", "IQ4_NL"},
};

constexpr std::uint32_t mixtral_experts = 8;
constexpr std::uint32_t layers_of_70b = 80;

Role role_of(std::string_view tensor, const ModelFacts& facts) {
  if (tensor == "output.weight" || (facts.tied && tensor == "token_embd.weight")) return Role::output;
  const auto has = [&](std::string_view part) { return tensor.find(part) != std::string_view::npos; };
  if (has(".attn_qkv.")) return Role::attn_qkv;
  if (has(".attn_v.")) return Role::attn_v;
  if (has(".attn_k.")) return Role::attn_k;
  if (has(".attn_output.")) return Role::attn_output;
  if (has(".ffn_down")) return Role::ffn_down;
  return Role::other;
}

// The N of "blk.N.attn_v.weight"; 0 for tensors outside the layers.
std::uint32_t layer_of(std::string_view tensor) {
  constexpr std::string_view prefix = "blk.";
  std::uint32_t layer = 0;
  if (tensor.starts_with(prefix)) {
    std::from_chars(tensor.data() + prefix.size(), tensor.data() + tensor.size(), layer);
  }
  return layer;
}

bool holds(Layers layers, std::uint32_t i, std::uint32_t n) {
  switch (layers) {
    case Layers::all: return true;
    case Layers::first_2: return i < 2;
    case Layers::first_4: return i < 4;
    case Layers::first_sixteenth: return i < n / 16;
    case Layers::first_eighth: return i < n / 8;
    case Layers::spread: return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }
  return false;
}

bool holds(When when, const ModelFacts& facts, const nibble::Shape& shape) {
  switch (when) {
    case When::always: return true;
    case When::grouped: return facts.n_heads >= 4 * facts.n_kv_heads;
    case When::stacked: return shape.rank() > 2;
    case When::important: return facts.importance;
    case When::unimportant: return !facts.importance;
  }
  return false;
}

std::string_view by_rules(const Mix& mix, const ModelFacts& facts, Role role, std::uint32_t layer,
                          const nibble::Shape& shape) {
  for (const Rule& rule : mix.rules) {
    if (rule.role == role && holds(rule.when, facts, shape) && holds(rule.layers, layer, facts.n_layers)) {
      return rule.format;
    }
  }
  return mix.base;
}

// Small matrices of large models are worth more bits.
std::string_view for_large_models(const Mix& mix, const ModelFacts& facts, Role role,
                                  std::string_view format) {
  const bool low = format == "Q3_K" || format == "Q4_K";
  if (mix.same || nibble::find_format(mix.base)->codes.group == 0) return format;
  if (facts.n_experts == mixtral_experts) {
    if (role == Role::attn_v || role == Role::attn_k) return "Q8_0";
    if (role == Role::attn_output) return mix.experts_output;
  }
  return facts.n_layers == layers_of_70b && role == Role::attn_v && low ? "Q5_K" : format;
}

std::string_view fitting(std::string_view name, std::uint64_t cols) {
  if (cols % nibble::find_format(name)->block_size == 0) return name;
  for (const Fallback& fallback : fallbacks) {
    if (fallback.format == name) return fitting(fallback.instead, cols);
  }
  return "F16";
}

bool stays_float(std::string_view tensor, const nibble::Shape& shape) {
  return shape.rank() < 2 || !tensor.ends_with("weight") || tensor.ends_with("_norm.weight") ||
         tensor.ends_with("ffn_gate_inp.weight");
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

ModelFacts read_facts(const nibble::Metadata& metadata) {
  const std::string prefix = metadata.text("general.architecture") + ".";
  const auto count = [&](const char* key, std::uint64_t absent) {
    return static_cast<std::uint32_t>(metadata.count(prefix + key, absent));
  };
  ModelFacts facts;
  facts.n_layers = count("block_count", 0);
  facts.n_heads = count("attention.head_count", 1);
  facts.n_kv_heads = count("attention.head_count_kv", facts.n_heads);
  facts.n_experts = count("expert_count", 0);
  return facts;
}

const Mix& find_mix(const std::string& name) {
  for (const Mix& mix : mixes) {
    if (same_name(mix.name, name)) return mix;
  }
  throw Failure(usage, "--type: unknown " + name + ", there are " + mix_names());
}

std::string mix_names() {
  std::string names;
  for (const Mix& mix : mixes) names += (names.empty() ? "" : ", ") + std::string(mix.name);
  return names;
}

std::uint32_t file_type(const Mix& mix) noexcept { return mix.file_type; }

const nibble::Format& choose_format(const Mix& mix, const ModelFacts& facts, std::string_view tensor,
                                    const nibble::Shape& shape) {
  if (stays_float(tensor, shape)) return *nibble::find_format("F32");
  const Role role = role_of(tensor, facts);
  const std::string_view wanted = by_rules(mix, facts, role, layer_of(tensor), shape);
  return *nibble::find_format(fitting(for_large_models(mix, facts, role, wanted), shape.cols()));
}

}  // namespace cli
