// The message of sentencepiece_model.proto, as far as it tells how to tokenise.
// Under the loader of tokenizer.model.
#include "src/text/sentencepiece_model.hpp"

#include <cmath>
#include <limits>

#include "src/file/in_quotes.hpp"
#include "src/file/protobuf.hpp"
#include "src/text/vocabulary.hpp"

namespace nibble::inline v0 {

namespace {

// A number that may be checked only when the whole file is read.
struct Setting {
  std::int64_t value;
  std::uint64_t offset = 0;
};

class ModelReader {
 public:
  ModelReader(const ByteSource& file, const Limits& limits)
      : limits_(limits), message_(file.bytes(), file.name()), errors_(file.bytes(), file.name()) {}

  SentencePieceModel read() {
    while (!message_.done()) {
      const ProtobufField field = message_.next();
      switch (field.number) {
        case 1: read_piece(message_.message(field, "piece"), field.offset); break;
        case 2: read_trainer(message_.message(field, "trainer_spec")); break;
        case 3: read_normalizer(message_.message(field, "normalizer_spec")); break;
        default: break;
      }
    }
    if (model_.pieces.empty()) throw errors_.error(ErrorCode::missing, 0, "pieces", "none", "at least one");
    demand(model_type_, "model_type", 2, "2, which is BPE");
    demand(white_space_as_suffix_, "treat_whitespace_as_suffix", 0, "false");
    demand(removes_white_space_, "remove_extra_whitespaces", 0, "false");
    demand(escapes_white_space_, "escape_whitespaces", 1, "true");
    model_.bos = token(bos_, "bos_id");
    model_.eos = token(eos_, "eos_id");
    return std::move(model_);
  }

 private:
  void read_piece(ProtobufReader fields, std::uint64_t offset);
  void read_trainer(ProtobufReader fields);
  void read_normalizer(ProtobufReader fields);
  void check(const SentencePieceModel::Piece& piece) const;

  void demand(Setting setting, std::string_view name, std::int64_t right, std::string_view allowed) const {
    if (setting.value == right) return;
    throw errors_.error(ErrorCode::unsupported, setting.offset, name, std::to_string(setting.value),
                        std::string(allowed));
  }
  std::optional<TokenId> token(Setting id, std::string_view name) const {
    if (id.value < 0) return std::nullopt;
    if (static_cast<std::size_t>(id.value) < model_.pieces.size()) return static_cast<TokenId>(id.value);
    throw errors_.error(ErrorCode::out_of_range, id.offset, name, std::to_string(id.value),
                        "below " + std::to_string(model_.pieces.size()));
  }

  const Limits& limits_;
  ProtobufReader message_;
  ByteReader errors_;
  SentencePieceModel model_;
  // What the format takes for granted where a file says nothing.
  Setting model_type_{1}, bos_{1}, eos_{2};
  Setting white_space_as_suffix_{0}, removes_white_space_{1}, escapes_white_space_{1};
};

void ModelReader::read_piece(ProtobufReader fields, std::uint64_t offset) {
  if (model_.pieces.size() >= limits_.vocabulary) {
    throw errors_.error(ErrorCode::limit, offset, "pieces", "one more",
                        "at most " + std::to_string(limits_.vocabulary));
  }
  SentencePieceModel::Piece piece;
  piece.offset = offset;
  while (!fields.done()) {
    const ProtobufField field = fields.next();
    switch (field.number) {
      case 1: piece.text = fields.text(field, "piece"); break;
      case 2: piece.score = static_cast<double>(fields.number(field, "score")); break;
      case 3: {
        const std::int32_t type = fields.integer(field, "type");
        if (type < 1 || type > 6) {
          throw fields.error(ErrorCode::out_of_range, field, "type", std::to_string(type), "1 to 6");
        }
        piece.kind = static_cast<TokenKind>(type);
        break;
      }
      default: break;
    }
  }
  check(piece);
  if (piece.kind == TokenKind::unknown) model_.unknown = static_cast<TokenId>(model_.pieces.size());
  model_.pieces.push_back(piece);
}

void ModelReader::check(const SentencePieceModel::Piece& piece) const {
  const auto refuse = [&](ErrorCode code, const char* field, std::string found, const char* allowed) {
    return errors_.error(code, piece.offset, field, std::move(found), allowed);
  };
  if (piece.text.empty() || find_invalid_utf8(piece.text)) {
    throw refuse(ErrorCode::malformed, "piece", in_quotes(piece.text), "a text in UTF-8");
  }
  if (std::isnan(piece.score)) throw refuse(ErrorCode::out_of_range, "score", "NaN", "a number");
  if (piece.kind == TokenKind::byte && !parse_byte_token(piece.text)) {
    throw refuse(ErrorCode::malformed, "byte token", in_quotes(piece.text), "<0x00> to <0xFF>");
  }
  if (piece.kind == TokenKind::unknown && model_.unknown) {
    throw refuse(ErrorCode::malformed, "unknown token", in_quotes(piece.text), "one unknown token");
  }
}

void ModelReader::read_trainer(ProtobufReader fields) {
  while (!fields.done()) {
    const ProtobufField field = fields.next();
    const auto integer = [&](const char* name) { return Setting{fields.integer(field, name), field.offset}; };
    switch (field.number) {
      case 3: model_type_ = integer("model_type"); break;
      case 24: white_space_as_suffix_ = integer("treat_whitespace_as_suffix"); break;
      case 41: bos_ = integer("bos_id"); break;
      case 42: eos_ = integer("eos_id"); break;
      default: break;
    }
  }
}

void ModelReader::read_normalizer(ProtobufReader fields) {
  while (!fields.done()) {
    const ProtobufField field = fields.next();
    const auto flag = [&](const char* name) { return Setting{fields.flag(field, name), field.offset}; };
    switch (field.number) {
      case 2: {
        const auto size = static_cast<std::int64_t>(fields.text(field, "precompiled_charsmap").size());
        demand({size, field.offset}, "bytes of precompiled_charsmap", 0, "0: texts as they are");
        break;
      }
      case 3: model_.adds_prefix = fields.flag(field, "add_dummy_prefix"); break;
      case 4: removes_white_space_ = flag("remove_extra_whitespaces"); break;
      case 5: escapes_white_space_ = flag("escape_whitespaces"); break;
      default: break;
    }
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(const ByteSource& file, const Limits& limits) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();  // what a Vocabulary holds
  const std::uint64_t size = file.bytes().size();
  if (size > most) {
    throw ByteReader({}, file.name())
        .error(ErrorCode::limit, 0, "file", std::to_string(size) + " bytes", "below 4 GiB");
  }
  return ModelReader(file, limits).read();
}

}  // namespace nibble::inline v0
