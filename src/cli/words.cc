#include "cli/words.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::cli {

namespace {

constexpr WordOption kHelp = {"help", "", "this text", 'h'};

std::vector<WordOption> options_of(const WordForm& form) {
  std::vector<WordOption> options = form.options;
  options.push_back(kHelp);
  return options;
}

std::string usage_of(const WordForm& form) {
  std::string text = "clawrun " + std::string(form.verb);
  if (!form.options.empty()) text += " [OPTIONS]";
  if (!form.operands.empty()) text += " " + std::string(form.operands);
  return text;
}

Failure wrong(const WordForm& form, std::string message) {
  return fail(ErrorKind::kUsage, std::move(message) + " (usage: " + usage_of(form) + ")");
}

struct Found {
  const WordOption* option = nullptr;
  bool has_value = false;
  std::string_view value;
};

Found find_option(std::span<const WordOption> options, std::string_view word) {
  const bool is_long = word.starts_with("--");
  const std::string_view body = word.substr(is_long ? 2 : 1);
  const std::size_t equals = body.find('=');
  const std::string_view name = body.substr(0, equals);
  Found found;
  found.has_value = equals != std::string_view::npos;
  if (found.has_value) found.value = body.substr(equals + 1);
  for (const WordOption& option : options)
    if (option.name == name || (!is_long && name.size() == 1 && name[0] == option.letter)) found.option = &option;
  return found;
}

Failure unknown(const WordForm& form, std::span<const WordOption> options, std::string_view word) {
  std::vector<std::string_view> names;
  for (const WordOption& option : options) names.push_back(option.name);
  std::string_view name = word.substr(0, word.find('='));
  while (name.starts_with('-')) name.remove_prefix(1);
  const std::string_view best = nearest(name, names);
  if (!best.empty())
    return fail(ErrorKind::kUsage, "unknown option " + quoted(word) + "; did you mean --" + std::string(best) + "?");
  return fail(ErrorKind::kUsage, "unknown option " + quoted(word) + "; clawrun " + std::string(form.verb) + " --help lists them");
}

Result<> check_operands(const WordForm& form, const Words& words) {
  if (words.has("help")) return {};
  const std::size_t wanted = form.operands.empty() ? 0 : 1;
  if (words.operands.size() > wanted) return wrong(form, "unexpected word " + quoted(words.operands[wanted]));
  if (words.operands.size() < wanted)
    return wrong(form, "the " + std::string(form.operands) + " of a sandbox is missing; clawrun list shows those that run");
  return {};
}

}  // namespace

bool Words::has(std::string_view name) const {
  return std::ranges::any_of(options, [&](const auto& option) { return option.first == name; });
}

Result<Words> read_words(const WordForm& form, std::span<char* const> args) {
  const std::vector<WordOption> options = options_of(form);
  Words words;
  bool only_operands = false;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string_view word = args[i];
    if (only_operands || word.size() < 2 || word.front() != '-') {
      words.operands.push_back(word);
      continue;
    }
    if (word == "--") {
      only_operands = true;
      continue;
    }
    Found found = find_option(options, word);
    if (found.option == nullptr) return unknown(form, options, word);
    const bool takes = !found.option->metavar.empty();
    if (found.has_value && !takes) return wrong(form, "option --" + std::string(found.option->name) + " takes no value");
    if (takes && !found.has_value) {
      if (i + 1 == args.size()) return wrong(form, "option " + quoted(word) + " wants a value");
      found.value = args[++i];
    }
    words.options.emplace_back(found.option->name, found.value);
  }
  TRY(check_operands(form, words));
  return words;
}

std::string help_of(const WordForm& form) {
  constexpr std::size_t kColumn = 24;
  std::string text = "usage: " + usage_of(form) + "\n\n" + std::string(form.text) + "\n";
  for (const WordOption& option : options_of(form)) {
    std::string left = "  --" + std::string(option.name) + (option.metavar.empty() ? "" : " " + std::string(option.metavar));
    if (option.letter != 0) left += std::string(", -") + option.letter;
    left += left.size() + 1 < kColumn ? std::string(kColumn - left.size(), ' ') : "\n" + std::string(kColumn, ' ');
    text += left + std::string(option.help) + "\n";
  }
  return text + "\nSee clawrun-" + std::string(form.verb) + "(1).\n";
}

}  // namespace clawrun::cli
