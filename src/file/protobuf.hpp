// Protocol Buffers' wire format: the fields of one message, in the order of its bytes.
// Private to the text stage: tokenizer.model is such a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "nibble/file/byte_source.hpp"

namespace nibble::inline v0 {

// One field: its number and its undecoded value, which points into the file.
struct ProtobufField {
  enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  std::uint32_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t value = 0;                // all but bytes
  std::span<const std::byte> bytes = {};  // bytes
  std::uint64_t offset = 0;               // of the field, and of what it holds: bytes of the file
  std::uint64_t value_offset = 0;
};

// Walks over one message and copies nothing. Messages within it are read by a reader of their own, so that
// the depth of a file is the depth of the code that reads it.
class ProtobufReader {
 public:
  ProtobufReader(std::span<const std::byte> message, std::string_view source, std::uint64_t base = 0)
      : reader_(message, source, base) {}

  bool done() const noexcept { return reader_.left() == 0; }
  // Errors: truncated; malformed (a varint of more than 64 bits, field number 0); unsupported (groups).
  ProtobufField next();

  // A field's value as the type that its message declares. Error(wrong_type) where it is written as another.
  bool flag(const ProtobufField& field, std::string_view name) const;
  std::int32_t integer(const ProtobufField& field, std::string_view name) const;
  float number(const ProtobufField& field, std::string_view name) const;
  std::string_view text(const ProtobufField& field, std::string_view name) const;  // any bytes
  ProtobufReader message(const ProtobufField& field, std::string_view name) const;

  // An Error at the field's value.
  Error error(ErrorCode code, const ProtobufField& field, std::string_view name, std::string found,
              std::string allowed) const {
    return reader_.error(code, field.value_offset, name, std::move(found), std::move(allowed));
  }

 private:
  std::uint64_t varint();
  void expect(const ProtobufField& field, ProtobufField::Wire wire, std::string_view name) const;

  ByteReader reader_;
};

}  // namespace nibble::inline v0
