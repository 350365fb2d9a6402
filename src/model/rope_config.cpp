// Rotary positions as either container describes them, in the spellings of several years of transformers.
// Part of reading hyperparameters; what becomes of them is in plan.cpp.
#include <algorithm>
#include <cmath>
#include <utility>

#include "nibble/model/config.hpp"

namespace nibble::inline v0 {

namespace {

constexpr Key rope_dim{"rope.dimension_count", ""};
constexpr Key rope_base{"rope.freq_base", "rope_theta"};
constexpr Key head_dim{"attention.key_length", "head_dim"};

// How much yarn sharpens attention.
double yarn_magnitude(double factor, double weight = 1.0) {
  return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

}  // namespace

std::uint32_t ConfigReader::rope_dims(const Config& c, const std::string& group) const {
  const std::string grouped = group + "partial_rotary_factor";
  const Key partial{"", has({"", grouped}) ? std::string_view(grouped) : "partial_rotary_factor"};
  const double share = positive_number(partial, 1.0);
  if (share > 1) throw error(ErrorCode::out_of_range, partial, std::to_string(share), "at most 1");
  const auto dim = has(rope_dim) ? positive(rope_dim) : static_cast<std::uint32_t>(c.head_dim * share);
  if (dim == 0 || dim % 2 != 0 || dim > c.head_dim) {
    throw error(ErrorCode::out_of_range,
                has(rope_dim)  ? rope_dim
                : has(partial) ? partial
                               : head_dim,
                std::to_string(dim), "an even number up to the head size " + std::to_string(c.head_dim));
  }
  return dim;
}

RopeConfig ConfigReader::read_rope(const Config& c, double absent_base) const {
  // transformers 5 moved base and scaling into one object, or into one for each kind of layer.
  std::string group = "rope_scaling.";
  for (const std::string newer : {"rope_parameters.", "rope_parameters.full_attention."}) {
    if (has({"", newer + "rope_type"})) group = newer;
  }
  RopeConfig r;
  r.context = c.context_length;
  r.base = positive_number(rope_base, positive_number({"", group + "rope_theta"}, absent_base));
  r.dim = rope_dims(c, group);
  const std::string original = group + "original_max_position_embeddings";
  r.original_context =
      positive_number({"rope.scaling.original_context_length", "original_max_position_embeddings"},
                      positive_number({"", original}, c.context_length));
  r.magnitude = positive_number({"rope.scaling.attn_factor", ""}, 1.0);

  const std::string factor_name = group + "factor",
                    type_name = group + (has({"", group + "rope_type"}) ? "rope_type" : "type");
  const Key factor{has({"rope.scale_linear", ""}) ? "rope.scale_linear" : "rope.scaling.factor", factor_name};
  const Key type{"rope.scaling.type", type_name};
  const std::string scaling = text(type, is_gguf() && has(factor) ? "linear" : "none");
  // A GGUF file may name linear scaling and give no factor: no scaling.
  if (is_gguf()) r.factor = positive_number(factor, 1.0);
  if (scaling == "none" || scaling == "default") return r;
  // Phi-3's first releases had two other names for longrope.
  const bool longrope = scaling == "longrope" || scaling == "su" || has({"", group + "short_factor"});
  if (longrope) {
    r.scaling = RopeScaling::longrope;
    if (!is_gguf()) read_longrope(r, c, group);
  } else if (scaling == "linear") {
    r.scaling = RopeScaling::linear;
    if (!is_gguf()) r.factor = positive_number(factor);
  } else if (scaling == "yarn") {
    r.scaling = RopeScaling::yarn;
    read_yarn(r, c, group);
  } else if (scaling == "llama3" && !is_gguf()) {
    r.scaling = RopeScaling::llama3;
    read_llama3(r, group);
  } else if (scaling == "dynamic" && !is_gguf()) {
    r.scaling = RopeScaling::dynamic;
    r.factor = positive_number(factor);
    r.original_context = c.context_length;
    if (r.dim == 2) throw error(ErrorCode::out_of_range, type, "2 rotated dims", "at least 4");
  } else {
    throw error(
        ErrorCode::unsupported, type, "'" + scaling + "'",
        is_gguf() ? "none, linear, yarn, longrope" : "default, linear, dynamic, llama3, yarn, longrope");
  }
  return r;
}

void ConfigReader::read_llama3(RopeConfig& r, const std::string& group) const {
  const std::string high = group + "high_freq_factor";
  r.factor = positive_number({"", group + "factor"});
  r.low_frequency_factor = positive_number({"", group + "low_freq_factor"});
  r.high_frequency_factor = positive_number({"", high});
  if (r.high_frequency_factor <= r.low_frequency_factor) {
    throw error(ErrorCode::out_of_range, {"", high}, std::to_string(r.high_frequency_factor),
                "above the low frequency factor " + std::to_string(r.low_frequency_factor));
  }
}

void ConfigReader::read_yarn(RopeConfig& r, const Config& c, const std::string& group) const {
  const auto number = [&](std::string_view gguf, const char* hf, double absent) {
    return positive_number({gguf, group + hf}, absent);
  };
  r.factor = number("rope.scaling.factor", "factor", c.context_length / r.original_context);
  r.fast_turns = number("rope.scaling.yarn_beta_fast", "beta_fast", r.fast_turns);
  r.slow_turns = number("rope.scaling.yarn_beta_slow", "beta_slow", r.slow_turns);
  r.whole_dims = flag({"", group + "truncate"}, true);
  const double mscale = number("", "mscale", 0), all_dims = number("", "mscale_all_dim", 0);
  const double usual = mscale != 0 && all_dims != 0
                           ? yarn_magnitude(r.factor, mscale) / yarn_magnitude(r.factor, all_dims)
                           : yarn_magnitude(r.factor);
  r.magnitude *= number("rope.scaling.yarn_attn_factor", "attention_factor", usual);
}

void ConfigReader::read_longrope(RopeConfig& r, const Config& c, const std::string& group) const {
  r.short_divisors = divisors(group + "short_factor", r.dim / 2);
  r.long_divisors = divisors(group + "long_factor", r.dim / 2);
  const double stretch = positive_number({"", group + "factor"}, c.context_length / r.original_context);
  const double usual = stretch <= 1 ? 1.0 : std::sqrt(1 + std::log(stretch) / std::log(r.original_context));
  r.magnitude = positive_number({"", group + "attention_factor"}, usual);
}

std::vector<double> ConfigReader::divisors(const std::string& key, std::size_t n) const {
  const Key both{"", key};
  if (!has(both)) throw error(ErrorCode::missing, both, "", std::to_string(n) + " numbers");
  const std::vector<double> values = *checkpoint_.metadata.numbers(name(both));
  if (values.size() != n)
    throw error(ErrorCode::shape_mismatch, both, std::to_string(values.size()) + " numbers",
                std::to_string(n));
  for (const double value : values) {
    if (!std::isfinite(value) || value <= 0)
      throw error(ErrorCode::out_of_range, both, std::to_string(value), "finite numbers above 0");
  }
  return values;
}

}  // namespace nibble::inline v0
