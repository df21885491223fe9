#include "spec/profile.h"

#include <nlohmann/json.hpp>

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
  return fail(ErrorKind::kInvalid, std::string("a ") + value.type_name() + " is not allowed: write a string" +
                                       (value.is_number() ? " or a whole number that is not negative" : ""));
}

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
      if (!text.is_string()) return fail(ErrorKind::kInvalid, where + "." + name + ": write a string");
      if (auto applied = apply_setting(spec, setting.name, name + "=" + text.get<std::string>()); !applied)
        return while_doing(where + "." + name, applied.error());
    }
    return {};
  }
  if (!value.is_array()) return fail(ErrorKind::kInvalid, where + ": write an array of strings");
  for (std::size_t i = 0; i < value.size(); ++i)
    if (auto applied = apply_one(spec, setting, value[i]); !applied) return while_doing(where + "[" + std::to_string(i) + "]", applied.error());
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

}  // namespace

Result<> apply_profile(SandboxSpec& spec, std::string_view text, std::string_view source) {
  const std::string file(source);
  if (text.size() > kMaxProfileBytes) return fail(ErrorKind::kInvalid, file + ": larger than 1m, which no profile is");
  try {
    // A key written twice is a mistake that nlohmann would settle silently.
    std::vector<std::vector<std::string>> open;
    std::string repeated;
    const Json::parser_callback_t watch = [&](int, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::object_start) open.emplace_back();
      if (event == Json::parse_event_t::object_end && !open.empty()) open.pop_back();
      if (event == Json::parse_event_t::key && !open.empty()) {
        const auto key = parsed.get<std::string>();
        for (const std::string& seen : open.back())
          if (seen == key) repeated = key;
        open.back().push_back(key);
      }
      return true;
    };
    const Json profile = Json::parse(text, watch);
    if (!repeated.empty()) return fail(ErrorKind::kInvalid, file + ": the key " + clawrun::quoted(repeated) + " stands twice");
    if (!profile.is_object()) return fail(ErrorKind::kInvalid, file + ": a profile is a JSON object of settings");
    for (const auto& [key, value] : profile.items()) TRY(apply_key(spec, key, value, file + ": " + key));
  } catch (const Json::exception& error) {
    return fail(ErrorKind::kInvalid, file + ": not JSON: " + error.what());
  }
  return {};
}

}  // namespace clawrun::spec
