#include "oci/json_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace clawrun::oci {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxShown = 96;

// Receives the events of nlohmann's parser, which keeps its own stack on the heap and throws nothing at a receiver. What is
// built is two allocations, however many values there are.
class TreeBuilder {
 public:
  explicit TreeBuilder(std::size_t bytes) : tree_(std::make_unique<JsonTree>()) {
    tree_->texts.reserve(bytes);
    tree_->nodes.reserve(std::min((bytes / 8) + 1, kMaxJsonValues));
  }

  bool null() { return add(JsonKind::kNull, 0); }
  bool boolean(bool value) { return add(JsonKind::kBool, value ? 1 : 0); }
  bool number_integer(std::int64_t value) {
    return add(value < 0 ? JsonKind::kNegative : JsonKind::kUnsigned, static_cast<std::uint64_t>(value));
  }
  bool number_unsigned(std::uint64_t value) { return add(JsonKind::kUnsigned, value); }
  bool number_float(double /*value*/, const std::string& text) { return add(JsonKind::kFloat, 0, text); }
  bool string(const std::string& text) { return add(JsonKind::kString, 0, text); }
  bool binary(const Json::binary_t& /*value*/) { return false; }  // not in JSON text
  bool start_object(std::size_t /*size*/) { return open(JsonKind::kObject); }
  bool start_array(std::size_t /*size*/) { return open(JsonKind::kList); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(const std::string& text) {
    key_start_ = tree_->texts.size();
    key_size_ = text.size();
    tree_->texts += text;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& /*error*/) {
    error_position_ = position;
    return false;
  }

  // Why the parser was stopped, or "" where it stopped for a mistake in the text.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  [[nodiscard]] std::size_t error_position() const { return error_position_; }
  std::unique_ptr<JsonTree> take() { return std::move(tree_); }

 private:
  struct Open {
    std::uint32_t index = 0;
    std::uint32_t last_child = 0;
  };

  bool add(JsonKind kind, std::uint64_t number, std::string_view text = {}) {
    auto& nodes = tree_->nodes;
    if (nodes.size() >= kMaxJsonValues) {
      refusal_ = "has more than " + std::to_string(kMaxJsonValues) + " values";
      return false;
    }
    const auto index = static_cast<std::uint32_t>(nodes.size());
    JsonNode node;
    node.kind = kind;
    node.key_start = static_cast<std::uint32_t>(key_start_);
    node.key_size = static_cast<std::uint32_t>(key_size_);
    node.text_start = static_cast<std::uint32_t>(tree_->texts.size());
    node.text_size = static_cast<std::uint32_t>(text.size());
    node.number = number;
    key_size_ = 0;
    tree_->texts += text;
    if (!open_.empty()) {
      Open& parent = open_.back();
      node.parent = parent.index;
      if (parent.last_child == 0)
        nodes[parent.index].number = index;
      else
        nodes[parent.last_child].next = index;
      parent.last_child = index;
    }
    nodes.push_back(node);
    return true;
  }

  bool open(JsonKind kind) {
    if (open_.size() >= kMaxJsonDepth) {
      refusal_ = "nests deeper than " + std::to_string(kMaxJsonDepth) + " levels";
      return false;
    }
    if (!add(kind, 0)) return false;
    open_.push_back({static_cast<std::uint32_t>(tree_->nodes.size() - 1), 0});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::unique_ptr<JsonTree> tree_;
  std::vector<Open> open_;
  std::size_t key_start_ = 0;
  std::size_t key_size_ = 0;
  std::size_t error_position_ = 0;
  std::string refusal_;
};

// `position` counts the bytes read, the one with the mistake included.
std::string place_in(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, position == 0 ? 0 : std::min(position - 1, text.size()));
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == std::string_view::npos ? before.size() + 1 : before.size() - newline;
  const std::string place = "line " + std::to_string(line) + ", column " + std::to_string(column);
  return before.size() == text.size() ? place + ", where the text ends" : place;
}

bool is_plain_key(std::string_view key) {
  return !key.empty() && key.size() <= kMaxShown && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// Keys that are data and not names, such as those of annotations, have dots of their own.
std::string member_path(std::string path, std::string_view key) {
  if (!is_plain_key(key)) return path + "[" + quoted_start(key) + "]";
  if (!path.empty()) path += '.';
  return path.append(key);
}

Failure invalid(const std::string& path, std::string_view what) {
  std::string message = path;
  if (!message.empty()) message += ": ";
  return fail(ErrorKind::kInvalid, message.append(what));
}

template <typename T>
std::string whole_number(T min, T max) {
  return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

std::string quoted_start(std::string_view text) {
  return text.size() <= kMaxShown ? quoted(text) : quoted(text.substr(0, kMaxShown)) + "...";
}

Result<JsonDocument> JsonDocument::parse(std::string_view json, std::size_t max_bytes) {
  // The tree's offsets have 32 bits.
  if (json.size() > std::min<std::size_t>(max_bytes, UINT32_MAX / 2))
    return fail(ErrorKind::kInvalid, "larger than the largest allowed size, " + format_size(max_bytes));
  // nlohmann's parser takes a NUL byte for the end of the text, whatever comes after it.
  if (const std::size_t nul = json.find('\0'); nul != std::string_view::npos)
    return fail(ErrorKind::kInvalid, "not JSON: a mistake in " + place_in(json, nul + 1));
  TreeBuilder builder(json.size());
  if (!Json::sax_parse(json.data(), json.data() + json.size(), &builder)) {
    if (!builder.refusal().empty()) return fail(ErrorKind::kInvalid, "the JSON text " + builder.refusal());
    return fail(ErrorKind::kInvalid, "not JSON: a mistake in " + place_in(json, builder.error_position()));
  }
  JsonDocument document;
  document.tree_ = builder.take();
  return document;
}

std::string JsonValue::path() const {
  std::vector<std::uint32_t> steps;
  for (std::uint32_t at = index_; at != 0; at = tree_->nodes[at].parent) steps.push_back(at);
  std::string path;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const JsonNode& parent = tree_->nodes[tree_->nodes[*step].parent];
    if (parent.kind == JsonKind::kObject) {
      path = member_path(std::move(path), JsonValue(*tree_, *step).key());
      continue;
    }
    std::size_t position = 0;
    for (auto at = static_cast<std::uint32_t>(parent.number); at != *step; at = tree_->nodes[at].next) ++position;
    path += "[" + std::to_string(position) + "]";
  }
  return path;
}

std::string JsonValue::shown_value() const {
  const std::string_view text(tree_->texts.data() + node().text_start, node().text_size);
  switch (kind()) {
    case JsonKind::kNull:
      return "null";
    case JsonKind::kBool:
      return node().number != 0 ? "true" : "false";
    case JsonKind::kUnsigned:
      return std::to_string(node().number);
    case JsonKind::kNegative:
      return std::to_string(static_cast<std::int64_t>(node().number));
    case JsonKind::kFloat:
      return text.size() <= kMaxShown ? std::string(text) : std::string(text.substr(0, kMaxShown)) + "...";
    case JsonKind::kString:
      return quoted_start(text);
    case JsonKind::kList:
      return "a list";
    case JsonKind::kObject:
      return "an object";
  }
  return "a value";
}

Failure JsonValue::wrong(std::string_view what) const {
  return invalid(path(), what);
}

Failure JsonValue::is_not(std::string_view allowed) const {
  return wrong(shown_value().append(" is not ").append(allowed));
}

Result<JsonObject> JsonValue::object() const {
  if (kind() != JsonKind::kObject) return is_not("an object");
  return JsonObject(*this);
}

Result<JsonList> JsonValue::list(std::string_view of_what) const {
  if (kind() != JsonKind::kList) return is_not(std::string("a list of ").append(of_what));
  return JsonList(*this);
}

Result<bool> JsonValue::boolean() const {
  if (kind() != JsonKind::kBool) return is_not("true or false");
  return node().number != 0;
}

Result<std::string_view> JsonValue::text() const {
  if (kind() != JsonKind::kString) return is_not("a string");
  const std::string_view text(tree_->texts.data() + node().text_start, node().text_size);
  if (text.find('\0') != std::string_view::npos) return wrong(quoted_start(text) + " contains a NUL byte");
  return text;
}

Result<std::uint64_t> JsonValue::unsigned_number(std::uint64_t min, std::uint64_t max) const {
  if (kind() != JsonKind::kUnsigned || node().number < min || node().number > max) return is_not(whole_number(min, max));
  return node().number;
}

Result<std::int64_t> JsonValue::signed_number(std::int64_t min, std::int64_t max) const {
  const auto number = static_cast<std::int64_t>(node().number);
  const bool fits = kind() == JsonKind::kNegative || (kind() == JsonKind::kUnsigned && number >= 0);
  if (!fits || number < min || number > max) return is_not(whole_number(min, max));
  return number;
}

std::size_t JsonList::size() const {
  std::size_t size = 0;
  for (auto at = static_cast<std::uint32_t>(node().number); at != 0; at = tree_->nodes[at].next) ++size;
  return size;
}

std::optional<JsonValue> JsonObject::find(std::string_view key) const {
  std::optional<JsonValue> found;
  for (const JsonValue member : members())
    if (member.key() == key) found = member;
  if (found && found->kind() == JsonKind::kNull) found.reset();
  return found;
}

Result<JsonValue> JsonObject::require(std::string_view key, std::string_view allowed) const {
  const std::optional<JsonValue> member = find(key);
  if (!member) return wrong_member(key, std::string("is missing; it must be ").append(allowed));
  return *member;
}

Failure JsonObject::wrong_member(std::string_view key, std::string_view what) const {
  return invalid(member_path(path(), key), what);
}

Failure not_one_of(const JsonValue& value, std::span<const std::string_view> names) {
  std::string allowed = names.size() == 1 ? "" : "one of ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) allowed += ", ";
    allowed += names[i].empty() ? "\"\"" : names[i];
  }
  return value.is_not(allowed);
}

Result<> read(const JsonValue& value, bool& target) {
  target = TRY(value.boolean());
  return {};
}

Result<> read(const JsonValue& value, std::string& target) {
  target = TRY(value.text());
  return {};
}

Result<> read(const JsonValue& value, std::vector<std::string>& target) {
  const JsonList list = TRY(value.list("strings"));
  target.reserve(list.size());
  for (const JsonValue element : list.elements()) {
    const std::string_view text = TRY(element.text());
    target.emplace_back(text);
  }
  return {};
}

Result<> read(const JsonValue& value, std::map<std::string, std::string>& target) {
  const JsonObject object = TRY(value.object());
  for (const JsonValue member : object.members()) {
    if (member.key().empty()) return member.wrong("an empty key is not allowed");
    if (member.key().find('\0') != std::string_view::npos) return member.wrong("the key contains a NUL byte");
    std::string key(member.key());
    if (member.kind() == JsonKind::kNull) {
      target.erase(key);
      continue;
    }
    const std::string_view text = TRY(member.text());
    target.insert_or_assign(std::move(key), text);
  }
  return {};
}

}  // namespace clawrun::oci
