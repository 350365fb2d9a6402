// JSON to values.
// See input.hpp.
#include "src/text/jinja/input.hpp"

namespace nibble::inline v0::jinja {

Value to_value(Interpreter& in, const Json& json, char32_t mark) {
  switch (json.kind()) {
    case Json::Kind::null: return Value(None{});
    case Json::Kind::boolean: return Value(json.boolean());
    case Json::Kind::integer: return Value(json.integer());
    case Json::Kind::number: return Value(json.number());
    case Json::Kind::string: return in.heap.add(to_text(json.string(), mark));
    case Json::Kind::array: {
      List list;
      for (const Json item : json) list.items.push_back(to_value(in, item, mark));
      return Value(in.heap.add(std::move(list)));
    }
    case Json::Kind::object: break;
  }
  Dict dict;
  for (const Json item : json) {
    dict.items.emplace_back(in.heap.add(to_text(item.key(), mark)), to_value(in, item, mark));
  }
  return Value(in.heap.add(std::move(dict)));
}

}  // namespace nibble::inline v0::jinja
