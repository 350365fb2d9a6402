// Tags, varints and the four kinds of value.
// Under tokenizer.model.
#include "src/file/protobuf.hpp"

#include <bit>

namespace nibble::inline v0 {

namespace {

std::string_view name_of(ProtobufField::Wire wire) noexcept {
  switch (wire) {
    case ProtobufField::Wire::varint: return "a varint";
    case ProtobufField::Wire::fixed64: return "64 bits";
    case ProtobufField::Wire::bytes: return "bytes";
    case ProtobufField::Wire::fixed32: return "32 bits";
  }
  return "nothing known";
}

}  // namespace

std::uint64_t ProtobufReader::varint() {
  const std::uint64_t begin = reader_.offset();
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::uint64_t byte = reader_.u8("varint");
    if (shift == 63 && byte > 1) break;
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  throw reader_.error(ErrorCode::malformed, begin, "varint", "more than 64 bits", "at most 64 bits");
}

ProtobufField ProtobufReader::next() {
  ProtobufField field;
  field.offset = reader_.offset();
  const std::uint64_t tag = varint();
  if (tag >> 3 == 0 || tag >> 32 != 0) {
    throw reader_.error(ErrorCode::malformed, field.offset, "field number", std::to_string(tag >> 3),
                        "1 to 536870911");
  }
  field.number = static_cast<std::uint32_t>(tag >> 3);
  field.wire = static_cast<ProtobufField::Wire>(tag & 7);
  field.value_offset = reader_.offset();
  switch (field.wire) {
    case ProtobufField::Wire::varint: field.value = varint(); return field;
    case ProtobufField::Wire::fixed64: field.value = reader_.u64("64 bits"); return field;
    case ProtobufField::Wire::fixed32: field.value = reader_.u32("32 bits"); return field;
    case ProtobufField::Wire::bytes: {
      const std::uint64_t length = varint();
      field.value_offset = reader_.offset();
      field.bytes = reader_.take(length, "bytes");
      return field;
    }
  }
  throw reader_.error(ErrorCode::unsupported, field.offset, "wire type", std::to_string(tag & 7),
                      "0, 1, 2 or 5");
}

void ProtobufReader::expect(const ProtobufField& field, ProtobufField::Wire wire,
                            std::string_view name) const {
  if (field.wire == wire) return;
  throw reader_.error(ErrorCode::wrong_type, field.offset, name, std::string(name_of(field.wire)),
                      std::string(name_of(wire)));
}

bool ProtobufReader::flag(const ProtobufField& field, std::string_view name) const {
  expect(field, ProtobufField::Wire::varint, name);
  return field.value != 0;
}

// Negative ones are written as 64 bits; like every implementation, this takes the lower half.
std::int32_t ProtobufReader::integer(const ProtobufField& field, std::string_view name) const {
  expect(field, ProtobufField::Wire::varint, name);
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(field.value));
}

float ProtobufReader::number(const ProtobufField& field, std::string_view name) const {
  expect(field, ProtobufField::Wire::fixed32, name);
  return std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
}

std::string_view ProtobufReader::text(const ProtobufField& field, std::string_view name) const {
  expect(field, ProtobufField::Wire::bytes, name);
  return {reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size()};
}

ProtobufReader ProtobufReader::message(const ProtobufField& field, std::string_view name) const {
  expect(field, ProtobufField::Wire::bytes, name);
  return {field.bytes, reader_.source(), field.value_offset};
}

}  // namespace nibble::inline v0
