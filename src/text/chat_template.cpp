// ChatTemplate: compiles once, then lends each rendering its variables and reads off where its text came
// from. Over the interpreter in jinja/.
#include "nibble/text/chat_template.hpp"

#include <algorithm>

#include "src/text/jinja/input.hpp"
#include "src/text/jinja/parser.hpp"
#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

struct ChatTemplate::State {
  jinja::Template compiled;
  Limits limits;
  std::string bos, eos;                     // their texts; empty: not defined
  std::shared_ptr<const State> with_tools;  // the template for conversations with tools, where there is one

  const State& choose(bool tools) const { return tools && with_tools ? *with_tools : *this; }

  void define_tokens(jinja::Interpreter& in) const {
    for (const auto& [name, text] : {std::pair("bos_token", &bos), std::pair("eos_token", &eos)}) {
      if (!text->empty()) in.define(name, in.heap.add(jinja::to_text(*text)));
    }
  }
};

namespace {

using jinja::Interpreter;

// "\r\n" and "\r" end lines, too.
std::string with_newlines(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool pair = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (!pair) made += text[i] == '\r' ? '\n' : text[i];
  }
  return made;
}

void check_source(std::string_view text, std::string_view name, const Limits& limits) {
  if (text.size() > limits.template_bytes) {
    throw Error({.code = ErrorCode::limit,
                 .source = std::string(name),
                 .position = at_line(1, 1),
                 .found = std::to_string(text.size()) + " bytes",
                 .allowed = "template_bytes, " + std::to_string(limits.template_bytes)});
  }
  if (const auto bad = find_invalid_utf8(text)) {
    throw Error({.code = ErrorCode::malformed,
                 .source = std::string(name),
                 .position = at_byte(*bad),
                 .found = "bytes that are not UTF-8",
                 .allowed = "UTF-8"});
  }
}

// A message's field. Templates make special tokens of roles, which the program chooses: they are no input.
jinja::Value field_value(Interpreter& in, const Json& field) {
  return jinja::to_value(in, field, field.key() == "role" ? 0 : jinja::from_input);
}

jinja::Value messages_value(Interpreter& in, const Json& messages) {
  jinja::List list;
  for (const Json message : messages) {
    if (!message.is(Json::Kind::object)) {
      list.items.push_back(jinja::to_value(in, message, jinja::from_input));
      continue;
    }
    jinja::Dict made;
    for (const Json field : message) {
      made.items.emplace_back(in.heap.add(jinja::to_text(field.key(), jinja::from_input)),
                              field_value(in, field));
    }
    list.items.push_back(jinja::Value(in.heap.add(std::move(made))));
  }
  return jinja::Value(in.heap.add(std::move(list)));
}

// Special tokens are the model's, whoever names them; all other strings are the caller's.
void define_all(Interpreter& in, const Json& variables) {
  for (const Json variable : variables) {
    const std::string_view name = variable.key();
    if (name == "messages" && variable.is(Json::Kind::array)) {
      in.define(name, messages_value(in, variable));
    } else {
      in.define(name, jinja::to_value(in, variable, name.ends_with("_token") ? 0 : jinja::from_input));
    }
  }
}

bool has_tools(const Json& variables) {
  const auto tools = variables.find("tools");
  return tools && !tools->is(Json::Kind::null);
}

JsonDocument read_object(std::string_view json, std::string_view name, const Limits& limits) {
  JsonDocument document = parse_json(json, name, limits);
  if (!document.root().is(Json::Kind::object)) {
    throw document.root().error(ErrorCode::wrong_type, document.root().describe(), "an object");
  }
  return document;
}

jinja::Value to_value(Interpreter& in, const ChatMessage& message) {
  jinja::Dict made;
  const auto set = [&](std::string_view name, jinja::Value value) {
    const jinja::Value key = in.heap.add(jinja::to_text(name, jinja::from_input));
    const auto there = std::ranges::find_if(
        made.items, [&](const auto& item) { return jinja::same(*item.first.text(), *key.text()); });
    if (there != made.items.end()) {
      there->second = value;
    } else {
      made.items.emplace_back(key, value);
    }
  };
  for (const auto& [name, text] :
       {std::pair("role", &message.role), std::pair("content", &message.content)}) {
    if (const auto bad = find_invalid_utf8(*text)) {
      throw Error({.code = ErrorCode::invalid_argument,
                   .source = "chat message",
                   .position = at_byte(*bad),
                   .field = name,
                   .found = "bytes that are not UTF-8",
                   .allowed = "UTF-8"});
    }
    set(name, in.heap.add(jinja::to_text(*text, text == &message.role ? 0 : jinja::from_input)));
  }
  if (!message.fields.empty()) {
    const JsonDocument fields = read_object(message.fields, "chat message", in.limits());
    for (const Json field : fields.root()) set(field.key(), field_value(in, field));
  }
  return jinja::Value(in.heap.add(std::move(made)));
}

ChatPrompt run(Interpreter& in) {
  const jinja::Text text = in.run();
  ChatPrompt prompt;
  prompt.text.reserve(text.size());
  bool marked = false;
  for (const char32_t c : text) {
    const bool from_input = (c & jinja::from_input) != 0;
    if (from_input && !marked) prompt.from_input.push_back({prompt.text.size(), 0});
    if (!from_input && marked) prompt.from_input.back().end = prompt.text.size();
    marked = from_input;
    append_utf8(prompt.text, jinja::plain(c));
  }
  if (marked) prompt.from_input.back().end = prompt.text.size();
  return prompt;
}

}  // namespace

std::shared_ptr<ChatTemplate::State> ChatTemplate::compile(std::string_view source, std::string_view name,
                                                           const Limits& limits) {
  check_source(source, name, limits);
  auto state = std::make_shared<State>();
  state->limits = limits;
  state->compiled.source = {std::string(name), with_newlines(source)};
  jinja::Parser(state->compiled, state->limits).run();
  return state;
}

std::shared_ptr<ChatTemplate::State> ChatTemplate::compile(std::string_view source,
                                                           const Tokenizer& tokenizer, std::string_view name,
                                                           const Limits& limits) {
  auto state = compile(source, name, limits);
  if (const auto bos = tokenizer.bos()) state->bos = tokenizer.text(*bos);
  if (const auto eos = tokenizer.eos()) state->eos = tokenizer.text(*eos);
  return state;
}

ChatTemplate::ChatTemplate(std::string_view source, std::string_view name, const Limits& limits)
    : state_(translate_errors([&] { return compile(source, name, limits); })) {}

ChatTemplate::ChatTemplate(std::string_view source, const Tokenizer& tokenizer, std::string_view name,
                           const Limits& limits)
    : state_(translate_errors([&] { return compile(source, tokenizer, name, limits); })) {}

std::shared_ptr<ChatTemplate::State> ChatTemplate::compile(const Tokenizer& tokenizer, std::string_view name,
                                                           const Limits& limits) {
  const auto& templates = tokenizer.chat_templates();
  const auto found = templates.find(name);
  if (found != templates.end() && !found->second.empty()) {
    return compile(found->second, tokenizer,
                   name == "default" ? "chat template" : "chat template " + std::string(name), limits);
  }
  std::string names;
  for (const auto& [one, source] : templates) names.append(names.empty() ? "" : ", ").append(one);
  throw Error({.code = ErrorCode::missing,
               .source = "chat template",
               .field = std::string(name),
               .found = names.empty() ? "a model without one" : "a model with " + names,
               .allowed = "tokenizer.chat_template, chat_template or chat_template.jinja"});
}

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer, const Limits& limits)
    : state_(translate_errors([&] {
        auto state = compile(tokenizer, "default", limits);
        if (tokenizer.chat_templates().contains("tool_use"))
          state->with_tools = compile(tokenizer, "tool_use", limits);
        return state;
      })) {}

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer, std::string_view name, const Limits& limits)
    : state_(translate_errors([&] { return compile(tokenizer, name, limits); })) {}

ChatPrompt ChatTemplate::render(std::span<const ChatMessage> messages, std::string_view tools,
                                const ChatOptions& options) const {
  return translate_errors([&] {
    std::optional<JsonDocument> variables;
    if (!options.variables.empty()) variables = read_object(options.variables, "variables", state_->limits);
    const State& state = state_->choose(!tools.empty() || (variables && has_tools(variables->root())));
    Interpreter in(state.compiled, state.limits, options.now);
    std::vector<jinja::Value> list;
    for (const ChatMessage& message : messages) list.push_back(to_value(in, message));
    in.define("messages", jinja::Value(in.heap.add(jinja::List{std::move(list)})));
    in.define("tools", jinja::Value(jinja::None{}));
    if (!tools.empty()) {
      const JsonDocument document = parse_json(tools, "tools", state.limits);
      in.define("tools", jinja::to_value(in, document.root(), jinja::from_input));
    }
    in.define("add_generation_prompt", jinja::Value(options.add_generation_prompt));
    state.define_tokens(in);
    if (variables) define_all(in, variables->root());
    return run(in);
  });
}

ChatPrompt ChatTemplate::render(std::string_view variables,
                                const std::optional<std::chrono::local_seconds>& now) const {
  return translate_errors([&] {
    const JsonDocument document = read_object(variables, "variables", state_->limits);
    const State& state = state_->choose(has_tools(document.root()));
    Interpreter in(state.compiled, state.limits, now);
    state.define_tokens(in);
    define_all(in, document.root());
    return run(in);
  });
}

std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatPrompt& prompt) {
  std::vector<TokenId> ids = tokenizer.encode(
      prompt.text, {.add_special = false, .parse_special = true, .plain = prompt.from_input});
  const auto bos = tokenizer.bos();
  if (bos && tokenizer.adds_bos() && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
  return ids;
}

}  // namespace nibble::inline v0
