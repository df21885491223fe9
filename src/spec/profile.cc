#include "spec/profile.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "spec/settings.h"

namespace clawrun::spec {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxProfileBytes = 1 << 20U;

// Keys that describe the profile and set nothing.
constexpr std::string_view kDescriptive[] = {"$schema", "description"};

// A number, a string or a switch in the words that the command line would use.
Result<std::string> as_words(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return std::string(value.get<bool>() ? "on" : "off");
  if (value.is_number_unsigned()) return std::to_string(value.get<std::uint64_t>());
  if (value.is_number())
    return fail(ErrorKind::kInvalid, value.dump() + " is not allowed: write a whole number that is not negative, or a string");
  return fail(ErrorKind::kInvalid, std::string("a ") + value.type_name() + " is not allowed: write a string");
}

// A key written twice in one object is a mistake that nlohmann would settle silently.
class RepeatedKey {
 public:
  bool watch(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end && !open_.empty()) open_.pop_back();
    if (event == Json::parse_event_t::key && !open_.empty()) {
      auto name = parsed.get<std::string>();
      if (!open_.back().insert(name).second) key_ = std::move(name);
    }
    return true;
  }
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string key_;
};

Result<> apply_one(SandboxSpec& spec, const Setting& setting, const Json& value) {
  if (setting.kind == ValueKind::kFlag && !value.is_boolean()) return fail(ErrorKind::kInvalid, "write true or false");
  if (setting.kind != ValueKind::kFlag && value.is_boolean() && setting.name != "landlock")
    return fail(ErrorKind::kInvalid, "true and false are not allowed here");
  const std::string words = TRY(as_words(value));
  return apply_setting(spec, setting.name, words);
}

// A list is an array; "env" may also be an object of names and values.
Result<> apply_list(SandboxSpec& spec, const Setting& setting, const Json& value, const std::string& where) {
  if (value.is_object() && setting.name == "env") {
    for (const auto& [name, text] : value.items()) {
      if (!text.is_string()) return fail(ErrorKind::kInvalid, where + "." + shown(name) + ": write a string");
      if (auto applied = apply_setting(spec, setting.name, name + "=" + text.get<std::string>()); !applied)
        return while_doing(where + "." + shown(name), applied.error());
    }
    return {};
  }
  if (!value.is_array()) return fail(ErrorKind::kInvalid, where + ": write an array of strings");
  for (std::size_t i = 0; i < value.size(); ++i)
    if (auto applied = apply_one(spec, setting, value[i]); !applied)
      return while_doing(where + "[" + std::to_string(i) + "]", applied.error());
  return {};
}

Result<> apply_command(SandboxSpec& spec, const Json& value, const std::string& where) {
  if (!value.is_array()) return fail(ErrorKind::kInvalid, where + ": write an array of strings");
  std::vector<std::string> command;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (!value[i].is_string()) return fail(ErrorKind::kInvalid, where + "[" + std::to_string(i) + "]: write a string");
    command.push_back(value[i].get<std::string>());
  }
  spec.command = std::move(command);
  return {};
}

Result<> apply_key(SandboxSpec& spec, const std::string& key, const Json& value, const std::string& where) {
  for (const std::string_view known : kDescriptive)
    if (key == known) return {};
  const Setting* setting = find_setting(key);
  if (setting == nullptr) {
    const auto names = setting_names();
    return fail(ErrorKind::kInvalid, where + ": no such setting" + did_you_mean(key, names));
  }
  if (setting->kind == ValueKind::kList) return apply_list(spec, *setting, value, where);
  if (auto applied = apply_one(spec, *setting, value); !applied) return while_doing(where, applied.error());
  return {};
}

using ApplyKey = Result<>(SandboxSpec&, const std::string& key, const Json& value, const std::string& where);

Result<> apply_key_or_command(SandboxSpec& spec, const std::string& key, const Json& value, const std::string& where) {
  return key == "command" ? apply_command(spec, value, where) : apply_key(spec, key, value, where);
}

Result<> apply_object(SandboxSpec& spec, std::string_view text, std::string_view source, ApplyKey* apply) {
  const std::string file(source);
  if (text.size() > kMaxProfileBytes) return fail(ErrorKind::kInvalid, file + ": larger than 1m, which no profile is");
  try {
    RepeatedKey repeated;
    const Json profile =
        Json::parse(text, [&](int, Json::parse_event_t event, Json& parsed) { return repeated.watch(event, parsed); });
    if (!repeated.key().empty())
      return fail(ErrorKind::kInvalid, file + ": the key " + clawrun::quoted(repeated.key()) + " stands twice");
    if (!profile.is_object()) return fail(ErrorKind::kInvalid, file + ": a profile is a JSON object of settings");
    for (const auto& [key, value] : profile.items()) TRY(apply(spec, key, value, file + ": " + shown(key)));
  } catch (const Json::parse_error& error) {
    // Not its own text, which quotes the input as it is.
    return fail(ErrorKind::kInvalid, file + ": not JSON, from byte " + std::to_string(error.byte) + " on");
  } catch (const Json::exception&) {
    return fail(ErrorKind::kInvalid, file + ": not JSON: a string is not UTF-8");
  }
  return {};
}

}  // namespace

Result<> apply_profile(SandboxSpec& spec, std::string_view text, std::string_view source) {
  return apply_object(spec, text, source, &apply_key);
}

Result<> apply_json(SandboxSpec& spec, std::string_view text, std::string_view source) {
  return apply_object(spec, text, source, &apply_key_or_command);
}

}  // namespace clawrun::spec
