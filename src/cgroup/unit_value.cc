#include "cgroup/unit_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace clawrun::cgroup {

namespace {

constexpr std::size_t kLongestText = 16'384;
constexpr unsigned kDeepest = 8;

struct NumberType {
  char code;
  std::string_view word;
  bool is_signed;
  std::uint64_t largest;
};
constexpr NumberType kNumbers[] = {
    {'y', "byte", false, UINT8_MAX},    {'n', "int16", true, INT16_MAX},    {'q', "uint16", false, UINT16_MAX},
    {'i', "int32", true, INT32_MAX},    {'u', "uint32", false, UINT32_MAX}, {'x', "int64", true, INT64_MAX},
    {'t', "uint64", false, UINT64_MAX},
};
struct OtherType {
  char code;
  std::string_view word;
};
constexpr OtherType kOthers[] = {{'b', "boolean"}, {'d', "double"}, {'s', "string"}, {'o', "objectpath"}, {'g', "signature"}};

const NumberType* number_type(char code) {
  const auto* row = std::ranges::find(kNumbers, code, &NumberType::code);
  return row == std::end(kNumbers) ? nullptr : row;
}

// The type that a word names, or 0.
char type_named(std::string_view word) {
  for (const NumberType& row : kNumbers)
    if (row.word == word) return row.code;
  for (const OtherType& row : kOthers)
    if (row.word == word) return row.code;
  return 0;
}

// The length of the complete type at the beginning of a signature; 0 where there is none that this reads.
std::size_t type_length(std::string_view signature, unsigned depth = 0) {
  if (signature.empty() || depth > kDeepest) return 0;
  const char first = signature[0];
  if (number_type(first) != nullptr || std::ranges::find(kOthers, first, &OtherType::code) != std::end(kOthers)) return 1;
  if (first == 'a') {
    const std::size_t element = type_length(signature.substr(1), depth + 1);
    return element == 0 ? 0 : element + 1;
  }
  if (first != '(') return 0;
  std::size_t at = 1;
  while (at < signature.size() && signature[at] != ')') {
    const std::size_t member = type_length(signature.substr(at), depth + 1);
    if (member == 0) return 0;
    at += member;
  }
  return at > 1 && at < signature.size() ? at + 1 : 0;
}

UnitValue basic(char type, std::string_view text) {
  return {std::string(1, type), {std::string{type, ' '} + std::string(text)}};
}

// Reads one value. An empty `want` leaves the type to the text.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<UnitValue> whole() {
    UnitValue value = TRY(read("", 0));
    skip_blanks();
    if (at_ != text_.size()) return wrong("something follows the value");
    return value;
  }

 private:
  Result<UnitValue> read(std::string_view want, unsigned depth) {
    if (depth > kDeepest) return wrong("it is nested too deeply");
    skip_blanks();
    if (at_ == text_.size()) return wrong("a value is missing");
    const char c = text_[at_];
    if (c == '@') return annotated(want, depth);
    if (c == '\'' || c == '"') return string(want);
    if (c == '[') return array(want, depth);
    if (c == '(') return tuple(want, depth);
    const std::string_view word = next_word();
    if (word == "true" || word == "false") return boolean(want, word);
    if (const char type = type_named(word); type != 0) return typed(want, type, depth);
    return number(want, word);
  }

  Result<UnitValue> annotated(std::string_view want, unsigned depth) {
    ++at_;
    const std::string_view rest = text_.substr(at_);
    const std::string_view type = rest.substr(0, type_length(rest));
    if (type.empty()) return wrong("\"@\" is followed by no type");
    at_ += type.size();
    if (!want.empty() && want != type) return wrong("the elements are of different types");
    return read(type, depth + 1);
  }

  Result<UnitValue> typed(std::string_view want, char type, unsigned depth) {
    const std::string_view own(&type, 1);
    if (!want.empty() && want != own) return wrong("the elements are of different types");
    return read(own, depth + 1);
  }

  Result<UnitValue> boolean(std::string_view want, std::string_view word) {
    if (!want.empty() && want != "b") return wrong("a boolean stands where another type must");
    return unit_bool(word == "true");
  }

  Result<UnitValue> number(std::string_view want, std::string_view word) {
    if (word.empty() || (word[0] != '-' && (word[0] < '0' || word[0] > '9')))
      return wrong(word.empty() ? "a value is missing" : quoted(word) + " is no value; strings stand in quotes");
    if (want == "d" || (want.empty() && word.find_first_of(".eE") != std::string_view::npos)) return real(word);
    const NumberType* type = want.empty() ? number_type('i') : want.size() == 1 ? number_type(want[0]) : nullptr;
    if (type == nullptr) return wrong("a number stands where another type must");
    const bool negative = word[0] == '-';
    const std::uint64_t largest = type->largest + (negative ? 1 : 0);
    const auto magnitude =
        negative && !type->is_signed ? parse_unsigned("-") : parse_unsigned(word.substr(negative ? 1 : 0), largest);
    if (!magnitude)
      return wrong(quoted(word) + " is no " + std::string(type->word) +
                   (want.empty() ? "; write the type before it, as in uint64 5000000000" : ""));
    return basic(type->code, (negative ? "-" : "") + std::to_string(*magnitude));
  }

  Result<UnitValue> real(std::string_view word) {
    double value = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
    if (end.ec != std::errc() || end.ptr != word.data() + word.size()) return wrong(quoted(word) + " is no number");
    return basic('d', word);
  }

  Result<UnitValue> string(std::string_view want) {
    if (!want.empty() && want != "s" && want != "o" && want != "g") return wrong("a string stands where another type must");
    const char quote = text_[at_++];
    std::string content;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' && ++at_ < text_.size() && std::string_view("\\'\"").find(text_[at_]) == std::string_view::npos)
        return wrong("of escapes only \\\\, \\' and \\\" are known");
      if (at_ < text_.size()) content += text_[at_++];
    }
    if (at_ >= text_.size()) return wrong("a string has no end");
    ++at_;
    return basic(want.empty() ? 's' : want[0], content);
  }

  Result<UnitValue> array(std::string_view want, unsigned depth) {
    if (!want.empty() && want[0] != 'a') return wrong("an array stands where another type must");
    std::string element(want.empty() ? want : want.substr(1));
    const std::vector<UnitValue> elements = TRY(list(
        ']', [&] { return element; }, &element, depth));
    if (element.empty()) return wrong("an empty array has no type; write it before it, as in @as []");
    return unit_array(element, elements);
  }

  Result<UnitValue> tuple(std::string_view want, unsigned depth) {
    if (!want.empty() && want[0] != '(') return wrong("a tuple stands where another type must");
    std::string_view members = want.empty() ? want : want.substr(1, want.size() - 2);
    const auto next_member = [&] {
      const std::string type(members.substr(0, type_length(members)));
      members.remove_prefix(type.size());
      return type;
    };
    const std::vector<UnitValue> values = TRY(list(')', next_member, nullptr, depth));
    UnitValue value = unit_struct(values);
    if (values.empty() || (!want.empty() && value.signature != want)) return wrong("a tuple has the wrong number of members");
    return value;
  }

  // `learned` receives the type of the first element, which the later ones then must have.
  template <typename NextType>
  Result<std::vector<UnitValue>> list(char end, NextType next_type, std::string* learned, unsigned depth) {
    ++at_;
    std::vector<UnitValue> values;
    for (;;) {
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == end) break;
      UnitValue value = TRY(read(next_type(), depth + 1));
      if (learned != nullptr) *learned = value.signature;
      values.push_back(std::move(value));
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (at_ >= text_.size() || text_[at_] != end) return wrong(std::string("a list has no \"") + end + "\" at its end");
    }
    ++at_;
    return values;
  }

  std::string_view next_word() {
    const std::size_t end = std::min(text_.find_first_of(" \t,[](){}<>'\"@", at_), text_.size());
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    return word;
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  [[nodiscard]] Failure wrong(std::string_view reason) const {
    return fail(ErrorKind::kInvalid, quoted(text_.substr(0, 200)) + ": " + std::string(reason) +
                                         ". A value is written as in 'text', true, 5, uint64 5, ['a', 'b'], (uint32 1, 'a')");
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

bool is_property_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

constexpr double kMicroseconds = 1e6;

Result<UnitValue> as_microseconds(const UnitValue& seconds) {
  const char type = seconds.signature.size() == 1 ? seconds.signature[0] : '\0';
  if (number_type(type) == nullptr && type != 'd') return fail(ErrorKind::kInvalid, "a number of seconds is expected");
  const std::string_view text = std::string_view(seconds.steps[0]).substr(2);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  // What a double holds exactly; 285 years.
  if (!(value >= 0 && value * kMicroseconds < 9007199254740992.0))
    return fail(ErrorKind::kInvalid, quoted(text) + " seconds are no time that systemd can keep");
  return unit_number('t', static_cast<std::uint64_t>(std::llround(value * kMicroseconds)));
}

}  // namespace

UnitValue unit_bool(bool value) {
  return basic('b', value ? "1" : "0");
}

UnitValue unit_number(char type, std::uint64_t value) {
  return basic(type, std::to_string(value));
}

UnitValue unit_text(std::string_view text) {
  return basic('s', text);
}

UnitValue unit_array(std::string_view element, std::span<const UnitValue> elements) {
  UnitValue array{"a" + std::string(element), {"a " + std::string(element)}};
  for (const UnitValue& value : elements) array.steps.insert(array.steps.end(), value.steps.begin(), value.steps.end());
  array.steps.emplace_back(".");
  return array;
}

UnitValue unit_struct(std::span<const UnitValue> members) {
  std::string content;
  for (const UnitValue& value : members) content += value.signature;
  UnitValue tuple{"(" + content + ")", {"r " + content}};
  for (const UnitValue& value : members) tuple.steps.insert(tuple.steps.end(), value.steps.begin(), value.steps.end());
  tuple.steps.emplace_back(".");
  return tuple;
}

Result<UnitProperty> parse_unit_property(std::string_view name, std::string_view text) {
  if (!is_property_name(name))
    return fail(ErrorKind::kInvalid,
                "systemd property " + quoted(name.substr(0, 130)) + ": a name consists of letters and digits");
  const std::string doing = "systemd property " + std::string(name);
  if (text.size() > kLongestText) return fail(ErrorKind::kInvalid, doing + ": its value has more than 16 KiB");
  // No property needs them, and a line of the protocol ends at the first.
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return fail(ErrorKind::kInvalid, doing + ": its value holds a control character");
  auto value = Reader(text).whole();
  if (!value) return while_doing(doing, std::move(value).error());
  if (!name.ends_with("Sec") || name.ends_with("USec")) return UnitProperty{std::string(name), std::move(*value)};
  auto converted = as_microseconds(*value);
  if (!converted) return while_doing(doing, std::move(converted).error());
  return UnitProperty{std::string(name.substr(0, name.size() - 3)) + "USec", std::move(*converted)};
}

}  // namespace clawrun::cgroup
