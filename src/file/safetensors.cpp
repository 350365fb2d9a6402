// Reading safetensors: a length, a JSON header, and data that the tensors must tile without gap or overlap.
// One of the two containers behind file/checkpoint.hpp.
#include "nibble/file/safetensors.hpp"

#include <algorithm>

#include "nibble/core/checked.hpp"
#include "src/file/in_quotes.hpp"
#include "src/file/json.hpp"

namespace nibble::inline v0 {

namespace {

struct StoredType {
  std::string_view name;
  Dtype dtype;
  std::uint32_t bits;
};

constexpr Dtype foreign(std::uint32_t n) { return static_cast<Dtype>(first_foreign_dtype + n); }

constexpr StoredType stored_types[] = {
    {"F32", Dtype::F32, 32},         {"F16", Dtype::F16, 16},     {"BF16", Dtype::BF16, 16},
    {"F64", Dtype::F64, 64},         {"I8", Dtype::I8, 8},        {"I16", Dtype::I16, 16},
    {"I32", Dtype::I32, 32},         {"I64", Dtype::I64, 64},     {"BOOL", foreign(0), 8},
    {"U8", foreign(1), 8},           {"U16", foreign(2), 16},     {"U32", foreign(3), 32},
    {"U64", foreign(4), 64},         {"C64", foreign(5), 64},     {"F8_E5M2", foreign(6), 8},
    {"F8_E4M3", foreign(7), 8},      {"F8_E8M0", foreign(8), 8},  {"F8_E4M3FNUZ", foreign(9), 8},
    {"F4", foreign(10), 4},          {"F6_E2M3", foreign(11), 6}, {"F6_E3M2", foreign(12), 6},
    {"F8_E5M2FNUZ", foreign(13), 8},
};

struct Found {
  Tensor tensor;
  Json offsets;  // for errors about its place
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

StoredType read_type(Json entry) {
  const Json value = entry.at("dtype");
  const std::string_view name = value.string();
  for (const StoredType& type : stored_types) {
    if (type.name == name) return type;
  }
  throw value.error(ErrorCode::unsupported, in_quotes(name), "a dtype of the safetensors format");
}

Shape read_shape(Json entry, const Limits& limits) {
  const Json extents = entry.at("shape");
  if (!extents.is(Json::Kind::array))
    throw extents.error(ErrorCode::wrong_type, extents.describe(), "an array");
  Shape shape;
  for (const Json extent : extents) {
    if (shape.rank() == Shape::max_rank) {
      throw extents.error(ErrorCode::unsupported, "more than 4 dimensions", "at most 4");
    }
    if (extent.count() > limits.dimension) {
      throw extent.error(ErrorCode::limit, extent.describe(), "at most " + std::to_string(limits.dimension));
    }
    shape.push_back(extent.count());
  }
  return shape;
}

// Elements times bits, in whole bytes.
std::uint64_t stored_bytes(Json entry, const Shape& shape, std::uint32_t bits) {
  std::optional<std::uint64_t> total = bits;
  for (std::size_t i = 0; i < shape.rank() && total; ++i) total = checked_mul(*total, shape[i]);
  if (!total) {
    throw entry.at("shape").error(ErrorCode::out_of_range, to_string(shape), "fewer than 2^64 bits");
  }
  if (*total % 8 != 0) {
    throw entry.at("shape").error(ErrorCode::malformed, std::to_string(*total) + " bits", "whole bytes");
  }
  return *total / 8;
}

Found read_tensor(Json entry, std::uint64_t data_bytes, const Limits& limits) {
  if (entry.key().empty()) throw entry.error(ErrorCode::malformed, "an empty name", "a name");
  if (entry.key().size() > limits.tensor_name_bytes) {
    throw entry.error(ErrorCode::limit, "a name of " + std::to_string(entry.key().size()) + " bytes",
                      "at most " + std::to_string(limits.tensor_name_bytes));
  }
  const StoredType type = read_type(entry);
  const Json offsets = entry.at("data_offsets");
  if (!offsets.is(Json::Kind::array) || offsets.size() != 2) {
    throw offsets.error(ErrorCode::wrong_type, offsets.describe(), "two integers");
  }
  Found found{Tensor(), offsets};
  found.tensor.name = entry.key();
  found.tensor.dtype = type.dtype;
  found.tensor.shape = read_shape(entry, limits);
  found.begin = (*offsets.begin()).count();
  found.end = (*++offsets.begin()).count();
  const auto range = [&] { return std::to_string(found.begin) + " to " + std::to_string(found.end); };
  if (found.begin > found.end) throw offsets.error(ErrorCode::malformed, range(), "begin <= end");
  if (found.end > data_bytes) {
    throw offsets.error(ErrorCode::truncated, range(), "at most " + std::to_string(data_bytes));
  }
  const std::uint64_t n_bytes = stored_bytes(entry, found.tensor.shape, type.bits);
  if (found.end - found.begin != n_bytes) {
    throw offsets.error(ErrorCode::shape_mismatch, range(),
                        std::to_string(n_bytes) + " bytes for shape " + to_string(found.tensor.shape));
  }
  return found;
}

void check_notes(Json notes) {
  if (!notes.is(Json::Kind::object)) throw notes.error(ErrorCode::wrong_type, notes.describe(), "an object");
  for (const Json note : notes) note.string();
}

// In order of their offsets each tensor begins where the one before ends.
void check_tiling(std::vector<Found>& found) {
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t expected = 0;
  for (const Found& f : found) {
    if (f.begin != expected) {
      throw f.offsets.error(ErrorCode::malformed, "begin " + std::to_string(f.begin),
                            std::to_string(expected) + ", the end of the tensor before");
    }
    expected = f.end;
  }
}

std::vector<Tensor> read_file(const ByteSource& source, const Limits& limits) {
  ByteReader in(source.bytes(), source.name());
  const std::uint64_t header_bytes = in.u64("header length");
  if (header_bytes > limits.json_bytes) {
    throw in.error(ErrorCode::limit, 0, "header length", std::to_string(header_bytes),
                   "at most " + std::to_string(limits.json_bytes));
  }
  if (header_bytes > in.left()) {
    throw in.error(ErrorCode::truncated, 0, "header length", std::to_string(header_bytes),
                   "at most " + std::to_string(in.left()));
  }
  const auto header = in.take(header_bytes, "header");
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (!text.starts_with('{')) {
    throw in.error(ErrorCode::malformed, 8, "header", in_quotes(text.substr(0, 1)), "\"{\"");
  }
  const JsonDocument document = parse_json(text, source.name(), limits, 8);
  const auto data = in.take(in.left(), "data");

  std::vector<Found> found;
  found.reserve(std::min<std::uint64_t>(document.root().size(), limits.tensors));
  for (const Json entry : document.root()) {
    if (entry.key() == "__metadata__") {
      check_notes(entry);
      continue;
    }
    if (found.size() == limits.tensors) {
      throw entry.error(ErrorCode::limit, "tensor " + std::to_string(found.size() + 1),
                        "at most " + std::to_string(limits.tensors));
    }
    found.push_back(read_tensor(entry, data.size(), limits));
  }
  check_tiling(found);
  const std::uint64_t end = found.empty() ? 0 : found.back().end;
  if (end != data.size()) {
    throw in.error(ErrorCode::malformed, 8 + header_bytes + end, "data",
                   std::to_string(data.size() - end) + " bytes of no tensor", "the end of the file");
  }

  std::vector<Tensor> tensors;
  tensors.reserve(found.size());
  for (Found& f : found) {
    f.tensor.source = source.name();
    f.tensor.offset = 8 + header_bytes + f.begin;
    f.tensor.bytes = data.subspan(f.begin, f.end - f.begin);
    tensors.push_back(std::move(f.tensor));
  }
  return tensors;
}

}  // namespace

std::string_view safetensors_name(Dtype dtype) noexcept {
  for (const StoredType& type : stored_types) {
    if (type.dtype == dtype) return type.name;
  }
  return {};
}

std::vector<Tensor> parse_safetensors(const ByteSource& source, const Limits& limits) {
  return translate_errors([&] { return read_file(source, limits); });
}

}  // namespace nibble::inline v0
