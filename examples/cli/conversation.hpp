// A conversation with a model: messages on one side, a session's cache on the other.
// What `nibble chat` talks to; built on ChatTemplate and Session.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "nibble/session.hpp"
#include "nibble/text/chat_template.hpp"

namespace cli {

class Conversation {
 public:
  // `variables`: ChatOptions::variables. Errors: those of ChatTemplate; limit.
  Conversation(const nibble::Engine& engine, const nibble::ChatTemplate& chat, std::string system,
               std::string variables);

  // Adds a user's message and the answer to it. What the cache already holds of the prompt is kept. An answer
  // that stop() ends keeps what there is of it. Errors: those of rendering, Session::append and
  // Session::generate; the conversation is then as it was.
  nibble::Generation answer(const std::string& text, const nibble::GenerateOptions& options,
                            const nibble::OnText& on_text);
  // From another thread: ends the answer under way. False where none is, or its end was asked for before.
  bool stop();
  bool is_answering() const noexcept { return answering_; }

  void clear();  // but for the system message
  // The messages as a JSON object that `nibble template` takes too, and back; the cache then follows by
  // itself. Failure where the file cannot be used; the conversation is then as it was.
  void save(const std::string& path) const;
  void load(const std::string& path);

  std::size_t n_tokens() const noexcept { return session_.tokens().size(); }
  const std::vector<nibble::ChatMessage>& messages() const noexcept { return messages_; }

 private:
  nibble::ChatPrompt render(const std::vector<nibble::ChatMessage>& messages) const;
  nibble::Generation generate(const std::vector<nibble::ChatMessage>& messages,
                              const nibble::GenerateOptions& options, const nibble::OnText& on_text);

  nibble::Tokenizer tokenizer_;
  nibble::ChatTemplate chat_;
  nibble::Session session_;
  std::string system_, variables_;
  bool merges_system_ = false;  // into the first message, as the template takes no system message
  std::vector<nibble::ChatMessage> messages_;
  std::atomic<bool> answering_ = false, stopping_ = false;
};

}  // namespace cli
