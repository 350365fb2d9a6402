// The JSON reader: nlohmann's event parser filling one flat tape of values.
// Under safetensors, config.json and the tokenizer's files.
#include "src/file/json.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "nibble/file/byte_source.hpp"
#include "src/file/in_quotes.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint32_t none = ~0u;

struct Node {
  std::uint64_t payload = 0;    // the integer, the double's bits, or the string's offset in `strings`
  std::uint32_t extent = 0;     // the string's length, or the index behind a container's last descendant
  std::uint32_t parent = none;  // the container's index
  Json::Kind kind = Json::Kind::null;
  bool above_int64 = false;  // an integer that only uint64 holds
};

}  // namespace

// Values in the order of the text; a member's name is a string node right before its value.
struct Json::Document {
  std::string source;
  std::string strings;
  std::vector<Node> nodes;

  std::string_view text(std::uint32_t i) const {
    return std::string_view(strings).substr(nodes[i].payload, nodes[i].extent);
  }
  bool is_container(std::uint32_t i) const {
    return nodes[i].kind == Kind::array || nodes[i].kind == Kind::object;
  }
  bool is_member(std::uint32_t i) const {
    return nodes[i].parent != none && nodes[nodes[i].parent].kind == Kind::object;
  }
  // The value behind value i in the same container, or one past the container's end.
  std::uint32_t next(std::uint32_t i) const {
    const std::uint32_t after = is_container(i) ? nodes[i].extent : i + 1;
    return is_member(i) && after < nodes[nodes[i].parent].extent ? after + 1 : after;
  }
};

// Receives the parser's events.
class Json::Builder {
 public:
  Builder(Document& document, std::string_view text, std::uint64_t base)
      : d_(document), text_(text), base_(base) {}

  bool null() { return add(Kind::null, 0); }
  bool boolean(bool value) { return add(Kind::boolean, value); }
  bool number_integer(std::int64_t value) { return add(Kind::integer, static_cast<std::uint64_t>(value)); }
  bool number_unsigned(std::uint64_t value) {
    add(Kind::integer, value);
    d_.nodes.back().above_int64 = value >> 63 != 0;
    return true;
  }
  bool number_float(double value, const std::string&) {
    return add(Kind::number, std::bit_cast<std::uint64_t>(value));
  }
  bool string(std::string& value) {
    add(Kind::string, d_.strings.size());
    d_.nodes.back().extent = static_cast<std::uint32_t>(value.size());
    d_.strings += value;
    return true;
  }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool key(std::string& value) { return string(value); }
  bool start_object(std::size_t) { return open(Kind::object); }
  bool start_array(std::size_t) { return open(Kind::array); }
  bool end_array() { return close(); }
  bool end_object() {
    const std::uint32_t object = open_;
    close();
    check_keys(object);
    return true;
  }
  // `position` counts the bytes read, the offending one included.
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    const std::size_t at = std::min(position - (position > 0), text_.size());
    throw Error({.code = ErrorCode::malformed,
                 .source = d_.source,
                 .position = at_byte(base_ + at),
                 .field = "JSON",
                 .found = at == text_.size() ? "the end" : in_quotes(text_.substr(at, 16)),
                 .allowed = "JSON syntax"});
  }

 private:
  bool add(Kind kind, std::uint64_t payload) {
    d_.nodes.push_back({.payload = payload, .parent = open_, .kind = kind});
    return true;
  }
  bool open(Kind kind) {
    add(kind, 0);
    open_ = static_cast<std::uint32_t>(d_.nodes.size() - 1);
    d_.nodes.back().extent = open_ + 1;
    return true;
  }
  bool close() {
    Node& container = d_.nodes[open_];
    container.extent = static_cast<std::uint32_t>(d_.nodes.size());
    open_ = container.parent;
    return true;
  }
  // Sorted by hash first, because comparing strings is what costs; colliding hashes only cost more of that.
  void check_keys(std::uint32_t object) {
    struct Key {
      std::uint64_t hash;
      std::uint32_t node;
    };
    std::vector<Key> keys;
    const Json value(&d_, object);
    keys.reserve(value.size());
    for (const Json member : value) {
      keys.push_back({std::hash<std::string_view>()(member.key()), member.index_});
    }
    const auto text = [&](const Key& k) { return d_.text(k.node - 1); };
    std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
      return a.hash != b.hash ? a.hash < b.hash : text(a) < text(b);
    });
    const auto twice = std::adjacent_find(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
      return a.hash == b.hash && text(a) == text(b);
    });
    if (twice != keys.end()) {
      throw Json(&d_, twice->node).error(ErrorCode::duplicate, "the key a second time", "each key once");
    }
  }

  Document& d_;
  std::string_view text_;
  std::uint64_t base_;
  std::uint32_t open_ = none;  // the innermost open container
};

namespace {

Error text_error(ErrorCode code, std::string_view source, std::uint64_t at, std::string found,
                 std::string allowed) {
  return Error({.code = code,
                .source = std::string(source),
                .position = at_byte(at),
                .field = "JSON",
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

struct Survey {
  std::size_t nodes = 1;
  std::size_t string_bytes = 0;
};

// What a text will need, before anything is allocated for it; refuses too deep nesting and NUL bytes, which
// the event parser would take for the text's end.
Survey survey(std::string_view text, std::string_view source, const Limits& limits, std::uint64_t base) {
  Survey result;
  std::uint32_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\0') throw text_error(ErrorCode::malformed, source, base + i, "a NUL byte", "JSON syntax");
    if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      ++result.string_bytes;
      if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\0') ++i;
    } else if (c == ',' || c == ':') {
      ++result.nodes;
    } else if (c == '[' || c == '{') {
      ++result.nodes;
      if (++depth > limits.json_depth) {
        throw text_error(ErrorCode::limit, source, base + i, "nesting depth " + std::to_string(depth),
                         "at most " + std::to_string(limits.json_depth));
      }
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  // No valid text holds more: a value takes a byte, and so does what separates it from the next.
  result.nodes = std::min(result.nodes, text.size() / 2 + 1);
  return result;
}

std::string escape(std::string_view key) {
  std::string result;
  for (const char c : key) {
    if (c == '~') {
      result += "~0";
    } else if (c == '/') {
      result += "~1";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

Json::Kind Json::kind() const noexcept { return document_->nodes[index_].kind; }

Json Json::expect(Kind kind, std::string_view name) const {
  if (!is(kind)) throw error(ErrorCode::wrong_type, describe(), std::string(name));
  return *this;
}

bool Json::boolean() const {
  expect(Kind::boolean, "true or false");
  return document_->nodes[index_].payload != 0;
}

std::int64_t Json::integer() const {
  expect(Kind::integer, "an integer");
  const Node& node = document_->nodes[index_];
  if (node.above_int64) throw error(ErrorCode::out_of_range, describe(), "at most 2^63 - 1");
  return static_cast<std::int64_t>(node.payload);
}

bool Json::is_above_int64() const noexcept { return document_->nodes[index_].above_int64; }

std::uint64_t Json::count() const {
  expect(Kind::integer, "an integer >= 0");
  const Node& node = document_->nodes[index_];
  if (!node.above_int64 && static_cast<std::int64_t>(node.payload) < 0) {
    throw error(ErrorCode::out_of_range, describe(), "an integer >= 0");
  }
  return node.payload;
}

double Json::number() const {
  const Node& node = document_->nodes[index_];
  if (node.kind == Kind::integer) {
    return node.above_int64 ? static_cast<double>(node.payload)
                            : static_cast<double>(static_cast<std::int64_t>(node.payload));
  }
  expect(Kind::number, "a number");
  return std::bit_cast<double>(node.payload);
}

std::string_view Json::string() const {
  expect(Kind::string, "a string");
  return document_->text(index_);
}

Json::Iterator Json::begin() const {
  if (!document_->is_container(index_)) expect(Kind::array, "an array or an object");
  const std::uint32_t last = document_->nodes[index_].extent;
  const std::uint32_t first = index_ + 1;
  return Iterator({document_, is(Kind::object) && first < last ? first + 1 : first});
}

Json::Iterator Json::end() const {
  return Iterator({document_, document_->is_container(index_) ? document_->nodes[index_].extent : index_});
}

Json::Iterator& Json::Iterator::operator++() noexcept {
  value_.index_ = value_.document_->next(value_.index_);
  return *this;
}

std::size_t Json::size() const { return static_cast<std::size_t>(std::distance(begin(), end())); }

std::string_view Json::key() const noexcept {
  return document_->is_member(index_) ? document_->text(index_ - 1) : std::string_view();
}

std::optional<Json> Json::find(std::string_view key) const {
  for (const Json member : expect(Kind::object, "an object")) {
    if (member.key() == key) return member;
  }
  return std::nullopt;
}

Json Json::at(std::string_view key) const {
  if (const auto member = find(key)) return *member;
  throw error(ErrorCode::missing, "nothing named " + in_quotes(key), in_quotes(key));
}

std::string Json::pointer() const {
  const std::uint32_t parent = document_->nodes[index_].parent;
  if (parent == none) return {};
  const Json container(document_, parent);
  if (container.is(Kind::object)) return container.pointer() + "/" + escape(key());
  std::size_t position = 0;
  for (auto it = container.begin(); it.value_.index_ != index_; ++it) ++position;
  return container.pointer() + "/" + std::to_string(position);
}

Error Json::error(ErrorCode code, std::string found, std::string allowed) const {
  const bool is_root = document_->nodes[index_].parent == none;
  return Error({.code = code,
                .source = document_->source,
                .position = is_root ? "the top level" : pointer(),
                .field = std::string(key()),
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

std::string Json::describe() const {
  const Node& node = document_->nodes[index_];
  switch (node.kind) {
    case Kind::null: return "null";
    case Kind::boolean: return node.payload != 0 ? "true" : "false";
    case Kind::integer:
      return node.above_int64 ? std::to_string(node.payload)
                              : std::to_string(static_cast<std::int64_t>(node.payload));
    case Kind::number: return std::to_string(number());
    case Kind::string: return in_quotes(string());
    case Kind::array: return "an array";
    case Kind::object: return "an object";
  }
  return {};
}

JsonDocument::JsonDocument(std::unique_ptr<const Json::Document> document) noexcept
    : document_(std::move(document)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonDocument parse_json(std::string_view text, std::string_view source, const Limits& limits,
                        std::uint64_t base) {
  const std::uint64_t most = std::min<std::uint64_t>(limits.json_bytes, none);
  if (text.size() > most) {
    throw text_error(ErrorCode::limit, source, base, std::to_string(text.size()) + " bytes",
                     "at most " + std::to_string(most));
  }
  const Survey needs = survey(text, source, limits, base);
  auto document = std::make_unique<Json::Document>();
  document->source = source;
  document->nodes.reserve(needs.nodes);
  document->strings.reserve(needs.string_bytes);
  Json::Builder builder(*document, text, base);
  nlohmann::json::sax_parse(text, &builder);
  return JsonDocument(std::move(document));
}

JsonDocument read_json(const std::filesystem::path& path, const Limits& limits) {
  // Asked before the bytes are copied; what the file system cannot tell, ByteSource reports.
  std::error_code unknown;
  const std::uintmax_t size = std::filesystem::file_size(path, unknown);
  if (!unknown && size > limits.json_bytes) {
    throw text_error(ErrorCode::limit, path.string(), 0, std::to_string(size) + " bytes",
                     "at most " + std::to_string(limits.json_bytes));
  }
  const auto file = ByteSource::open(path, LoadMode::copy);
  const auto bytes = file->bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file->name(), limits);
}

}  // namespace nibble::inline v0
