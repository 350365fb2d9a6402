// Rendering, keeping the common beginning, generating; saving and loading.
// See conversation.hpp.
#include "conversation.hpp"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "input.hpp"
#include "output_file.hpp"

namespace cli {

namespace {

using nibble::ChatMessage;
using nlohmann::ordered_json;

// What the clock on the wall shows.
std::chrono::local_seconds local_now() {
  using namespace std::chrono;
  const std::time_t time = system_clock::to_time_t(system_clock::now());
  std::tm local{};
  localtime_r(&time, &local);
  const auto day = year(local.tm_year + 1900) / (local.tm_mon + 1) / local.tm_mday;
  return local_days(day) + hours(local.tm_hour) + minutes(local.tm_min) + seconds(local.tm_sec);
}

ordered_json to_json(const ChatMessage& message) {
  ordered_json made = {{"role", message.role}, {"content", message.content}};
  if (!message.fields.empty()) made.update(ordered_json::parse(message.fields));
  return made;
}

ChatMessage to_message(ordered_json json) {
  ChatMessage message = {json.at("role").get<std::string>(), json.at("content").get<std::string>()};
  json.erase("role");
  json.erase("content");
  if (!json.empty()) message.fields = json.dump();
  return message;
}

}  // namespace

Conversation::Conversation(const nibble::Engine& engine, const nibble::ChatTemplate& chat, std::string system,
                           std::string variables)
    : tokenizer_(engine.model().tokenizer()),
      chat_(chat),
      session_(engine),
      system_(std::move(system)),
      variables_(std::move(variables)) {
  if (system_.empty()) return;
  try {
    render({{"user", "Hello"}});
  } catch (const nibble::Error& error) {
    if (error.code() != nibble::ErrorCode::invalid_argument) throw;
    merges_system_ = true;
  }
}

nibble::ChatPrompt Conversation::render(const std::vector<ChatMessage>& messages) const {
  std::vector<ChatMessage> all = messages;
  if (!system_.empty() && merges_system_ && !all.empty()) {
    all.front().content = system_ + "\n\n" + all.front().content;
  } else if (!system_.empty()) {
    all.insert(all.begin(), {"system", system_});
  }
  return chat_.render(all, {}, {.variables = variables_, .now = local_now()});
}

nibble::Generation Conversation::generate(const std::vector<ChatMessage>& messages,
                                          const nibble::GenerateOptions& options,
                                          const nibble::OnText& on_text) {
  const std::vector<nibble::TokenId> ids = nibble::encode_chat(tokenizer_, render(messages));
  const auto held = session_.tokens();
  const auto kept = std::ranges::mismatch(held, ids).in2 - ids.begin();
  session_.rewind(static_cast<std::uint32_t>(kept));
  session_.append(std::span(ids).subspan(static_cast<std::size_t>(kept)), options.progress);
  return session_.generate("", options, [&](std::string_view text) { return !stopping_ && on_text(text); });
}

nibble::Generation Conversation::answer(const std::string& text, const nibble::GenerateOptions& options,
                                        const nibble::OnText& on_text) {
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({"user", text});
  stopping_ = false;
  answering_ = true;
  nibble::Generation made;
  try {
    made = generate(messages, options, on_text);
  } catch (...) {
    answering_ = false;
    throw;
  }
  answering_ = false;
  messages.push_back({"assistant", made.text});
  messages_ = std::move(messages);
  return made;
}

bool Conversation::stop() {
  if (!answering_ || stopping_.exchange(true)) return false;
  session_.cancel();
  return true;
}

void Conversation::clear() { messages_.clear(); }

void Conversation::save(const std::string& path) const {
  ordered_json list = ordered_json::array();
  for (const ChatMessage& message : messages_) list.push_back(to_json(message));
  const std::string text = ordered_json{{"messages", std::move(list)}}.dump(
                               2, ' ', false, ordered_json::error_handler_t::replace) +
                           "\n";
  OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

void Conversation::load(const std::string& path) {
  const std::string text = read_input(path);
  std::vector<ChatMessage> messages;
  try {
    const ordered_json saved = ordered_json::parse(text);
    for (const ordered_json& message : saved.at("messages")) messages.push_back(to_message(message));
  } catch (const ordered_json::exception& error) {
    throw Failure(failure, path + ": not a saved conversation: " + error.what());
  }
  messages_ = std::move(messages);
}

}  // namespace cli
