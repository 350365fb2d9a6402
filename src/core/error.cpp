// Error: a shared, immutable message, so that copies never allocate and running out of memory can still be
// reported. Used by every stage.
#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::io: return "io";
    case ErrorCode::not_a_file: return "not_a_file";
    case ErrorCode::bad_magic: return "bad_magic";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::truncated: return "truncated";
    case ErrorCode::malformed: return "malformed";
    case ErrorCode::duplicate: return "duplicate";
    case ErrorCode::missing: return "missing";
    case ErrorCode::wrong_type: return "wrong_type";
    case ErrorCode::out_of_range: return "out_of_range";
    case ErrorCode::shape_mismatch: return "shape_mismatch";
    case ErrorCode::limit: return "limit";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::context_overflow: return "context_overflow";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::state_mismatch: return "state_mismatch";
    case ErrorCode::no_device: return "no_device";
    case ErrorCode::device_lost: return "device_lost";
    case ErrorCode::internal: return "internal";
  }
  return "unknown";
}

std::string at_byte(unsigned long long offset) { return "byte " + std::to_string(offset); }

std::string at_line(unsigned long long line, unsigned long long column) {
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

struct Error::Message {
  ErrorDetails details;
  std::string line;
};

namespace {

std::string compose(const ErrorDetails& d) {
  std::string line;
  if (!d.source.empty()) line += d.source + ": ";
  line += to_string(d.code);
  if (!d.position.empty()) line += " at " + d.position;
  if (!d.field.empty()) line += ": " + d.field;
  if (!d.found.empty()) line += ": found " + d.found;
  if (!d.allowed.empty()) line += ", allowed: " + d.allowed;
  // Names from a file must not break the line or speak to a terminal, which takes U+0080 to U+009F for
  // controls too.
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    const auto next = i + 1 < line.size() ? static_cast<unsigned char>(line[i + 1]) : 0u;
    if (c < 0x20 || c == 0x7f) line[i] = '?';
    if (c == 0xc2 && next >= 0x80 && next < 0xa0) line.replace(i, 2, "?");
  }
  return line;
}

}  // namespace

// The base class keeps an empty string, which libstdc++ and libc++ share instead of allocating.
Error::Error(std::shared_ptr<const Message> message) noexcept
    : std::runtime_error(""), message_(std::move(message)) {}

Error::Error(ErrorDetails details) noexcept : std::runtime_error("") {
  try {
    auto message = std::make_shared<Message>();
    message->line = compose(details);
    message->details = std::move(details);
    message_ = std::move(message);
  } catch (const std::bad_alloc&) {
    message_ = nullptr;
  }
}

Error Error::out_of_memory() noexcept { return Error(std::shared_ptr<const Message>()); }

ErrorCode Error::code() const noexcept {
  return message_ ? message_->details.code : ErrorCode::out_of_memory;
}
std::string_view Error::source() const noexcept {
  return message_ ? std::string_view(message_->details.source) : std::string_view();
}
std::string_view Error::position() const noexcept {
  return message_ ? std::string_view(message_->details.position) : std::string_view();
}
std::string_view Error::field() const noexcept {
  return message_ ? std::string_view(message_->details.field) : std::string_view();
}
std::string_view Error::found() const noexcept {
  return message_ ? std::string_view(message_->details.found) : std::string_view();
}
std::string_view Error::allowed() const noexcept {
  return message_ ? std::string_view(message_->details.allowed) : std::string_view();
}
const char* Error::what() const noexcept { return message_ ? message_->line.c_str() : "out_of_memory"; }

}  // namespace nibble::inline v0
