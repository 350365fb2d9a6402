// A conversation as the prompt its model was trained on: the model's own Jinja template, interpreted.
// Beside the tokenizer in the flow: messages in, text out, then tokens.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/core/limits.hpp"
#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool", …; the program's word, never a user's
  std::string content;
  // More fields as a JSON object: {"tool_calls": […]}, {"tool_call_id": "…"}; a field of the same name
  // replaces role or content. Empty: none.
  std::string fields = {};
};

struct ChatOptions {
  bool add_generation_prompt = true;  // end with what an answer begins with
  // More variables as a JSON object: {"enable_thinking": false, "date_string": "…"}. Empty: none.
  std::string variables = {};
  // What strftime_now() tells. Where it is not given, templates find no such function: the library reads no
  // clock.
  std::optional<std::chrono::local_seconds> now = {};
};

struct ChatPrompt {
  std::string text;
  std::vector<ByteRange>
      from_input;  // what came out of messages, tools and variables rather than the template
};

// Immutable; cheap to copy; safe to use from any thread.
class NIBBLE_API ChatTemplate {
 public:
  // `name` stands for the source in errors. Errors, with line and column: malformed (syntax, bytes that are
  // not UTF-8), unsupported (a tag, filter or test that is not known), limit (template_bytes,
  // template_depth).
  explicit ChatTemplate(std::string_view source, std::string_view name = "chat template",
                        const Limits& limits = {});
  // The same for a model: bos_token and eos_token are its tokenizer's texts.
  ChatTemplate(std::string_view source, const Tokenizer& tokenizer, std::string_view name = "chat template",
               const Limits& limits = {});
  // The tokenizer's own: "default", and where it has one "tool_use" for conversations with tools. Errors:
  // missing (it has no default), and the same.
  explicit ChatTemplate(const Tokenizer& tokenizer, const Limits& limits = {});
  // Its template of this name, for all conversations. Errors: missing, and the same.
  ChatTemplate(const Tokenizer& tokenizer, std::string_view name, const Limits& limits = {});

  // The variables messages, tools (a JSON array as the makers' library takes it; empty: none),
  // add_generation_prompt, bos_token, eos_token, and those of `options`. Errors, with line and column of
  // the template: invalid_argument (it raised an exception: these messages are not for it), limit
  // (template_levels, template_steps, template_output), wrong_type, missing, out_of_range, malformed,
  // unsupported (what a strict Jinja refuses); of tools, fields and variables: those of JSON.
  ChatPrompt render(std::span<const ChatMessage> messages, std::string_view tools = {},
                    const ChatOptions& options = {}) const;
  // The same from all variables as one JSON object; of bos_token and eos_token those in it count.
  ChatPrompt render(std::string_view variables,
                    const std::optional<std::chrono::local_seconds>& now = {}) const;

 private:
  struct State;
  static std::shared_ptr<State> compile(std::string_view source, std::string_view name, const Limits& limits);
  static std::shared_ptr<State> compile(std::string_view source, const Tokenizer& tokenizer,
                                        std::string_view name, const Limits& limits);
  static std::shared_ptr<State> compile(const Tokenizer& tokenizer, std::string_view name,
                                        const Limits& limits);
  std::shared_ptr<const State> state_;
};

// A prompt's ids. Special tokens are where the template put them; text of the input that spells one stays
// text. The model's BOS goes in front where it wants one and the template gave none. Errors: those of
// Tokenizer::encode.
NIBBLE_API std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatPrompt& prompt);

}  // namespace nibble::inline v0
