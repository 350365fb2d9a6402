// "normalizer", "pre_tokenizer", "decoder" and "post_processor" of tokenizer.json.
// Inside the JSON loader: what is not understood here is refused by name.
#include <array>

#include "src/text/json_tokenizer.hpp"
#include "src/text/pre_patterns.hpp"

namespace nibble::inline v0 {

namespace {

std::string_view type_of(const Json& step) { return step.at("type").string(); }

// Where the scheme of a Metaspace puts its mark; older files say it with a flag.
std::string_view prepend_scheme(const Json& metaspace) {
  if (const auto scheme = present(metaspace, "prepend_scheme")) {
    const std::string_view name = scheme->string();
    if (name != "always" && name != "first" && name != "never") {
      throw unsupported(*scheme, "\"always\", \"first\" or \"never\"");
    }
    return name;
  }
  return flag(metaspace, "add_prefix_space", true) ? "always" : "never";
}

void check_replacement(const Json& metaspace) {
  const auto mark = present(metaspace, "replacement");
  if (mark && mark->string() != space_mark) throw unsupported(*mark, "U+2581");
}

SplitBehavior behavior_of(const Json& split) {
  struct Named {
    std::string_view name;
    SplitBehavior behavior;
  };
  constexpr std::array<Named, 5> names = {{{"Isolated", SplitBehavior::isolated},
                                           {"Removed", SplitBehavior::removed},
                                           {"MergedWithPrevious", SplitBehavior::with_previous},
                                           {"MergedWithNext", SplitBehavior::with_next},
                                           {"Contiguous", SplitBehavior::contiguous}}};
  const Json behavior = split.at("behavior");
  for (const Named& named : names) {
    if (behavior.string() == named.name) return named.behavior;
  }
  throw unsupported(behavior, "Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

class PreTokenizerReader {
 public:
  PreTokenizerReader(const std::string& source, const Limits& limits, TokenizerParts& parts)
      : source_(source), limits_(limits), parts_(parts) {}

  void read(const Json& step) {
    const std::string_view type = type_of(step);
    if (type == "Sequence") {
      for (const Json inner : step.at("pretokenizers")) read(inner);
      return;
    }
    check_steps(step, n_steps_++);
    // ByteLevel leaves no text behind that another step could cut.
    if (parts_.bpe.byte_level) throw unsupported(step.at("type"), "nothing behind ByteLevel");
    if (type == "Split") {
      read_split(step);
    } else if (type == "ByteLevel") {
      read_byte_level(step);
    } else if (type == "Digits") {
      add(Pattern(flag(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)", origin(step), limits_));
    } else if (type == "Metaspace") {
      read_metaspace(step);
    } else {
      throw unsupported(step.at("type"), "Split, ByteLevel, Digits, Metaspace, Sequence");
    }
  }

 private:
  Origin origin(const Json& place) const { return {source_, place.pointer(), "pattern"}; }

  void add(Pattern pattern, SplitBehavior behavior = SplitBehavior::isolated, bool invert = false) {
    parts_.pre_tokenizer.add({std::move(pattern), behavior, invert});
    cuts_ = true;
  }

  void read_split(const Json& step) {
    const Json pattern = step.at("pattern");
    const auto text = pattern.find("String");
    const Json value = text ? *text : pattern.at("Regex");
    if (value.string().empty()) throw value.error(ErrorCode::malformed, "\"\"", "a pattern");
    add(text ? Pattern::literal(value.string(), origin(value), limits_)
             : Pattern(value.string(), origin(value), limits_),
        behavior_of(step), flag(step, "invert", false));
  }

  void read_byte_level(const Json& step) {
    parts_.bpe.byte_level = true;
    if (flag(step, "add_prefix_space", true)) prepend(step, " ", false);
    if (flag(step, "use_regex", true)) add(Pattern(gpt2_pattern, origin(step), limits_));
  }

  void read_metaspace(const Json& step) {
    check_replacement(step);
    const std::string_view scheme = prepend_scheme(step);
    parts_.prefixes.push_back({.kind = Rewrite::Kind::replace, .from = " ", .to = std::string(space_mark)});
    if (cuts_) throw unsupported(step.at("type"), "Metaspace before anything that cuts");
    if (scheme != "never") prepend(step, space_mark, scheme == "first");
    if (flag(step, "split", true)) {
      add(Pattern::literal(space_mark, origin(step), limits_), SplitBehavior::with_next);
    }
  }

  // In front of the whole fragment, which is only what the file means while nothing has cut it.
  void prepend(const Json& step, std::string_view text, bool only_at_beginning) {
    if (cuts_) throw unsupported(step.at("type"), "a prefix before anything that cuts");
    parts_.prefixes.push_back({.kind = Rewrite::Kind::prepend,
                               .to = std::string(text),
                               .unless_present = true,
                               .only_at_beginning = only_at_beginning});
  }

  const std::string& source_;
  const Limits& limits_;
  TokenizerParts& parts_;
  std::size_t n_steps_ = 0;
  bool cuts_ = false;  // a step before this one cuts
};

void read_strip(const Json& strip, TokenizerParts& parts) {
  const Json content = strip.at("content"), start = strip.at("start"), stop = strip.at("stop");
  if (content.string() != " ") throw unsupported(content, "\" \"");
  if (start.count() > 1) throw unsupported(start, "0 or 1");
  if (stop.count() > 0) throw unsupported(stop, "0");
  parts.strips_space = start.count() == 1;
}

std::vector<TokenId> template_ids(const Json& item, const Json& tokens, const Vocabulary& vocabulary) {
  const Json name = item.at("id");
  const auto token = tokens.find(name.string());
  if (!token) throw name.error(ErrorCode::missing, name.describe(), "one of special_tokens");
  std::vector<TokenId> ids;
  for (const Json id : token->at("ids")) {
    if (id.count() >= vocabulary.size()) {
      throw id.error(ErrorCode::out_of_range, id.describe(), "below " + std::to_string(vocabulary.size()));
    }
    ids.push_back(static_cast<TokenId>(id.count()));
  }
  return ids;
}

void read_template(const Json& processor, TokenizerParts& parts) {
  const auto tokens = processor.at("special_tokens");
  bool behind_text = false;
  for (const Json item : processor.at("single")) {
    if (const auto special = item.find("SpecialToken")) {
      std::vector<TokenId>& side = behind_text ? parts.after : parts.before;
      const auto ids = template_ids(*special, tokens, parts.vocabulary);
      side.insert(side.end(), ids.begin(), ids.end());
      continue;
    }
    const Json sequence = item.at("Sequence").at("id");
    if (sequence.string() != "A" || behind_text) throw unsupported(sequence, "\"A\", once");
    behind_text = true;
  }
}

}  // namespace

void read_normalizer(const Json& normalizer, std::vector<Rewrite>& rewrites) {
  const std::string_view type = type_of(normalizer);
  check_steps(normalizer, rewrites.size());
  if (type == "Sequence") {
    for (const Json inner : normalizer.at("normalizers")) read_normalizer(inner, rewrites);
  } else if (type == "NFC") {
    rewrites.push_back({.kind = Rewrite::Kind::compose});
  } else if (type == "Prepend") {
    rewrites.push_back(
        {.kind = Rewrite::Kind::prepend, .to = std::string(normalizer.at("prepend").string())});
  } else if (type == "Replace") {
    const Json pattern = normalizer.at("pattern");
    const auto from = pattern.find("String");
    if (!from) throw unsupported(pattern, "a String");
    if (from->string().empty()) throw from->error(ErrorCode::malformed, "\"\"", "a text");
    rewrites.push_back({.kind = Rewrite::Kind::replace,
                        .from = std::string(from->string()),
                        .to = std::string(normalizer.at("content").string())});
  } else {
    throw unsupported(normalizer.at("type"), "NFC, Prepend, Replace, Sequence");
  }
}

void read_pre_tokenizer(const Json& pre_tokenizer, const std::string& source, const Limits& limits,
                        TokenizerParts& parts) {
  PreTokenizerReader(source, limits, parts).read(pre_tokenizer);
}

void read_decoder(const Json& decoder, TokenizerParts& parts) {
  const std::string_view type = type_of(decoder);
  if (type == "Sequence") {
    for (const Json inner : decoder.at("decoders")) read_decoder(inner, parts);
    return;
  }
  if (parts.bpe.byte_level != (type == "ByteLevel") && type != "Fuse") {
    throw unsupported(decoder.at("type"), parts.bpe.byte_level ? "ByteLevel" : "one without ByteLevel");
  }
  if (type == "Strip") {
    read_strip(decoder, parts);
  } else if (type == "Metaspace") {
    check_replacement(decoder);
    parts.strips_space = prepend_scheme(decoder) != "never";
  } else if (type == "Replace") {
    const auto from = decoder.at("pattern").find("String");
    if (!from || from->string() != space_mark) throw unsupported(decoder.at("pattern"), "the String U+2581");
    const Json to = decoder.at("content");
    if (to.string() != " ") throw unsupported(to, "\" \"");
  } else if (type != "ByteLevel" && type != "ByteFallback" && type != "Fuse") {
    throw unsupported(decoder.at("type"),
                      "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence");
  }
}

void read_post_processor(const Json& processor, TokenizerParts& parts) {
  const std::string_view type = type_of(processor);
  if (type == "Sequence") {
    for (const Json inner : processor.at("processors")) read_post_processor(inner, parts);
  } else if (type == "TemplateProcessing") {
    read_template(processor, parts);
  } else if (type != "ByteLevel") {  // that one only moves offsets
    throw unsupported(processor.at("type"), "TemplateProcessing, ByteLevel, Sequence");
  }
}

}  // namespace nibble::inline v0
