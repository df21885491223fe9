// JSON as a flat tree that is read strictly: a value that does not fit is an error that begins with its path.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace clawrun::oci {

// Nothing in the specification nests deeper than ten levels; what is ignored may.
inline constexpr std::size_t kMaxJsonDepth = 128;
// A large real config has 2,000 values. The limit bounds the memory that a hostile text of kMaxConfigBytes can ask for.
inline constexpr std::size_t kMaxJsonValues = std::size_t{1} << 18U;

enum class JsonKind : std::uint8_t { kNull, kBool, kUnsigned, kNegative, kFloat, kString, kList, kObject };

// A value of the tree. Its text and that of its key are in the one string of all texts.
struct JsonNode {
  JsonKind kind = JsonKind::kNull;
  std::uint32_t key_start = 0;
  std::uint32_t key_size = 0;
  std::uint32_t text_start = 0;  // of a string, and of a number that is not a whole one of 64 bits
  std::uint32_t text_size = 0;
  std::uint32_t parent = 0;
  std::uint32_t next = 0;    // sibling; 0: none, since the root is nobody's sibling
  std::uint64_t number = 0;  // two's complement where negative; a bool; the index of a list's or object's first child
};

struct JsonTree {
  std::vector<JsonNode> nodes;
  std::string texts;
};

class JsonObject;
class JsonList;

// Refers to the document that it was taken from, which must outlive it.
class JsonValue {
 public:
  JsonValue(const JsonTree& tree, std::uint32_t index) : tree_(&tree), index_(index) {}

  [[nodiscard]] JsonKind kind() const { return node().kind; }
  [[nodiscard]] std::string_view key() const { return {tree_->texts.data() + node().key_start, node().key_size}; }

  [[nodiscard]] Result<JsonObject> object() const;
  [[nodiscard]] Result<JsonList> list(std::string_view of_what) const;  // `of_what`: "strings"
  [[nodiscard]] Result<bool> boolean() const;
  // Without NUL: what a config names ends up as a path, an argument, a variable or the contents of a kernel file.
  [[nodiscard]] Result<std::string_view> text() const;
  [[nodiscard]] Result<std::uint64_t> unsigned_number(std::uint64_t min, std::uint64_t max) const;
  [[nodiscard]] Result<std::int64_t> signed_number(std::int64_t min, std::int64_t max) const;

  // `linux.namespaces[2].type`; "" for the root.
  [[nodiscard]] std::string path() const;
  // "PATH: what".
  [[nodiscard]] Failure wrong(std::string_view what) const;
  // "PATH: VALUE is not ALLOWED".
  [[nodiscard]] Failure is_not(std::string_view allowed) const;

 protected:
  [[nodiscard]] const JsonNode& node() const { return tree_->nodes[index_]; }
  [[nodiscard]] std::string shown_value() const;

  const JsonTree* tree_;
  std::uint32_t index_;
};

// The children of a list or an object, in the text's order.
class JsonChildren {
 public:
  class Iterator {
   public:
    Iterator(const JsonTree& tree, std::uint32_t index) : tree_(&tree), index_(index) {}
    JsonValue operator*() const { return {*tree_, index_}; }
    Iterator& operator++() {
      index_ = tree_->nodes[index_].next;
      return *this;
    }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    const JsonTree* tree_;
    std::uint32_t index_;
  };

  JsonChildren(const JsonTree& tree, std::uint32_t first) : tree_(&tree), first_(first) {}
  [[nodiscard]] Iterator begin() const { return {*tree_, first_}; }
  [[nodiscard]] Iterator end() const { return {*tree_, 0}; }

 private:
  const JsonTree* tree_;
  std::uint32_t first_;
};

class JsonList : public JsonValue {
 public:
  [[nodiscard]] JsonChildren elements() const { return {*tree_, static_cast<std::uint32_t>(node().number)}; }
  [[nodiscard]] std::size_t size() const;

 private:
  friend class JsonValue;
  explicit JsonList(const JsonValue& value) : JsonValue(value) {}
};

class JsonObject : public JsonValue {
 public:
  // Members that are null are there; of members with the same key all are.
  [[nodiscard]] JsonChildren members() const { return {*tree_, static_cast<std::uint32_t>(node().number)}; }

  // The last one of that key, as Go's encoding/json has it, or nothing where it is absent or null.
  [[nodiscard]] std::optional<JsonValue> find(std::string_view key) const;
  // "PATH.key: is missing; it must be ALLOWED" where there is none.
  [[nodiscard]] Result<JsonValue> require(std::string_view key, std::string_view allowed) const;
  // "PATH.key: what", for a member that need not be there.
  [[nodiscard]] Failure wrong_member(std::string_view key, std::string_view what) const;

 private:
  friend class JsonValue;
  explicit JsonObject(const JsonValue& value) : JsonValue(value) {}
};

class JsonDocument {
 public:
  // An error says the line and the column.
  static Result<JsonDocument> parse(std::string_view json, std::size_t max_bytes);

  [[nodiscard]] JsonValue root() const { return {*tree_, 0}; }

 private:
  JsonDocument() = default;
  std::unique_ptr<JsonTree> tree_;  // values point to it, wherever the document is moved
};

// What a message shows of a text that may be very long: its beginning, in quotes.
std::string quoted_start(std::string_view text);

// The type of the target says what is allowed.
Result<> read(const JsonValue& value, bool& target);
Result<> read(const JsonValue& value, std::string& target);
Result<> read(const JsonValue& value, std::vector<std::string>& target);
Result<> read(const JsonValue& value, std::map<std::string, std::string>& target);

template <typename T>
concept JsonInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>;

template <JsonInteger T>
Result<> read(const JsonValue& value, T& target, std::type_identity_t<T> min = std::numeric_limits<T>::min(),
              std::type_identity_t<T> max = std::numeric_limits<T>::max()) {
  if constexpr (std::is_signed_v<T>) {
    const std::int64_t number = TRY(value.signed_number(min, max));
    target = static_cast<T>(number);
  } else {
    const std::uint64_t number = TRY(value.unsigned_number(min, max));
    target = static_cast<T>(number);
  }
  return {};
}

template <typename T, typename... Range>
Result<> read(const JsonValue& value, std::optional<T>& target, Range... range) {
  T there{};
  TRY(read(value, there, range...));
  target = std::move(there);
  return {};
}

// Leaves the target alone where the member is absent or null.
template <typename T, typename... Range>
Result<> read_member(const JsonObject& object, std::string_view key, T& target, Range... range) {
  const std::optional<JsonValue> member = object.find(key);
  if (!member) return {};
  return read(*member, target, range...);
}

template <typename T, typename... Range>
Result<> read_required(const JsonObject& object, std::string_view key, std::string_view allowed, T& target, Range... range) {
  const JsonValue member = TRY(object.require(key, allowed));
  return read(member, target, range...);
}

// A list member, each element by `parse`, which gives Result<T>.
template <typename T, typename Parse>
Result<> read_list(const JsonObject& object, std::string_view key, std::string_view of_what, std::vector<T>& target,
                   const Parse& parse) {
  const std::optional<JsonValue> member = object.find(key);
  if (!member) return {};
  const JsonList list = TRY(member->list(of_what));
  target.reserve(list.size());
  for (const JsonValue element : list.elements()) {
    T parsed = TRY(parse(element));
    target.push_back(std::move(parsed));
  }
  return {};
}

// A word of the specification and what it stands for.
template <typename T>
struct JsonWord {
  std::string_view name;
  T value;
};

// "PATH: "foo" is not one of a, b, c".
Failure not_one_of(const JsonValue& value, std::span<const std::string_view> names);

template <typename T, std::size_t kCount>
Result<T> word_of(const JsonValue& value, const JsonWord<T> (&words)[kCount]) {
  const std::string_view text = TRY(value.text());
  for (const auto& word : words)
    if (word.name == text) return word.value;
  std::string_view names[kCount];
  for (std::size_t i = 0; i < kCount; ++i) names[i] = words[i].name;
  return not_one_of(value, names);
}

}  // namespace clawrun::oci
