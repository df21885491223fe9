#include "cli/completion.h"

#include <algorithm>

#include "base/text.h"
#include "cli/oci_verbs.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/sandbox_verbs.h"
#include "cli/verbs.h"

namespace clawrun::cli {

namespace {

struct Extra {
  const char* verb;
  const char* name;
  const char* metavar;
};

// The few options of the other verbs.
constexpr Extra kExtras[] = {
    {"doctor", "--json", ""}, {"doctor", "--help", ""},   {"rootfs", "--json", ""},        {"rootfs", "--quiet", ""},
    {"rootfs", "--help", ""}, {"seccomp", "--table", ""}, {"seccomp", "--output", "FILE"}, {"seccomp", "--help", ""},
};

// Of the verbs over OCI containers, and before them under the name oci; what the verb has for sandboxes under the same name is
// there.
void add_oci_options(std::vector<VerbOption>& options) {
  const auto add = [&](std::string_view verb, OciVerb meant) {
    for (const OciOption& row : oci_options()) {
      const std::string name = "--" + std::string(row.name);
      const auto is_same = [&](const VerbOption& option) { return option.verb == verb && option.name == name; };
      if ((row.verbs & static_cast<std::uint32_t>(meant)) != 0 && std::ranges::none_of(options, is_same))
        options.push_back({std::string(verb), name, std::string(row.metavar)});
    }
  };
  add("oci", OciVerb::kGlobal);
  for (const Verb& verb : verbs())
    if (is_oci_verb(verb.name)) add(verb.name, oci_verb_of(verb.name));
}

std::string words_for(const std::string& verb) {
  std::string words;
  for (const VerbOption& option : all_options())
    if (option.verb == verb) words += (words.empty() ? "" : " ") + option.name;
  for (const Verb& one : verbs())
    if (one.name == verb && !one.words.empty()) words += " " + std::string(one.words);
  return words;
}

// A command that prints the ids that may stand there.
constexpr const char* kSandboxIds = "clawrun list --quiet 2>/dev/null";

std::string verb_names() {
  std::string names;
  for (const Verb& verb : verbs()) names += (names.empty() ? "" : " ") + std::string(verb.name);
  return names;
}

std::string bash() {
  std::string text =
      "# bash completion for clawrun\n"
      "_clawrun() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 2; i < COMP_CWORD; i++)); do [[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -c -- \"$cur\")); return; "
      "}; done\n"
      "  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W \"" +
      verb_names() + " " + words_for("oci") +
      "\" -- \"$cur\")); return; fi\n"
      "  case $verb in\n";
  for (const Verb& verb : verbs())
    text += "    " + std::string(verb.name) + ") [[ $cur == -* || $verb != exec ]] && COMPREPLY=($(compgen -W \"" +
            words_for(std::string(verb.name)) +
            (verb.operands == Operands::kSandboxes ? std::string(" $(") + kSandboxIds + ")" : std::string()) +
            "\" -- \"$cur\")) ;;\n";
  text +=
      "  esac\n"
      "  ((${#COMPREPLY[@]})) || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
      "}\n"
      "complete -o filenames -F _clawrun clawrun\n";
  return text;
}

std::string zsh_quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':') out += '\\';
      out += c;
    }
  }
  return out;
}

// Options of exec that it has only with the id of a container.
std::vector<VerbOption> options_of_containers_alone() {
  std::vector<VerbOption> options;
  const std::vector<OptionRow> rows = exec_options();
  for (VerbOption& option : all_options())
    if (option.verb == "exec" &&
        std::ranges::none_of(rows, [&](const OptionRow& row) { return option.name.substr(2) == row.name; }))
      options.push_back(std::move(option));
  return options;
}

std::string zsh() {
  std::string text = "#compdef clawrun\n_clawrun() {\n  if ((CURRENT == 2)); then\n    compadd -- " + words_for("oci") +
                     "\n    local -a verbs=(\n";
  for (const Verb& verb : verbs()) text += "      '" + std::string(verb.name) + ":" + zsh_quoted(verb.summary) + "'\n";
  text +=
      "    )\n    _describe verb verbs\n    return\n  fi\n  case $words[2] in\n    exec) shift words; ((CURRENT--)); _arguments "
      "-S \\\n";
  for (const OptionRow& row : exec_options())
    text += "      '*--" + std::string(row.name) + "[" + zsh_quoted(row.help) + "]" +
            (row.metavar.empty() ? "" : ":" + zsh_quoted(row.metavar) + ":_files") + "' \\\n";
  for (const VerbOption& option : options_of_containers_alone())
    text += "      '*" + option.name + (option.metavar.empty() ? "" : ":" + zsh_quoted(option.metavar) + ":_files") + "' \\\n";
  text += "      '*::command:_normal' ;;\n";
  for (const Verb& verb : verbs())
    if (verb.name != "exec")
      text += "    " + std::string(verb.name) + ") compadd -- " + words_for(std::string(verb.name)) +
              (verb.operands == Operands::kSandboxes ? std::string(" $(") + kSandboxIds + ")" : std::string()) + " ;;\n";
  return text + "  esac\n}\n_clawrun \"$@\"\n";
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish() {
  std::string text = "complete -c clawrun -f\n";
  for (const Verb& verb : verbs())
    text +=
        "complete -c clawrun -n __fish_use_subcommand -a " + std::string(verb.name) + " -d " + fish_quoted(verb.summary) + "\n";
  for (const OptionRow& row : exec_options())
    text += "complete -c clawrun -n '__fish_seen_subcommand_from exec' -l " + std::string(row.name) +
            (row.metavar.empty() ? "" : " -r") + " -d " + fish_quoted(row.help) + "\n";
  for (const VerbOption& option : all_options())
    if (option.verb == "oci")
      text += "complete -c clawrun -n __fish_use_subcommand -l " + option.name.substr(2) + (option.metavar.empty() ? "" : " -r") +
              "\n";
  for (const VerbOption& option : options_of_containers_alone())
    text += "complete -c clawrun -n '__fish_seen_subcommand_from exec' -l " + option.name.substr(2) +
            (option.metavar.empty() ? "" : " -r") + "\n";
  for (const VerbOption& option : all_options())
    if (option.verb != "exec" && option.verb != "oci")
      text += "complete -c clawrun -n '__fish_seen_subcommand_from " + option.verb + "' -l " + option.name.substr(2) +
              (option.metavar.empty() ? "" : " -r") + "\n";
  for (const Verb& verb : verbs())
    if (!verb.words.empty())
      text += "complete -c clawrun -n '__fish_seen_subcommand_from " + std::string(verb.name) + "' -a " +
              fish_quoted(verb.words) + "\n";
  for (const Verb& verb : verbs())
    if (verb.operands == Operands::kSandboxes)
      text += "complete -c clawrun -n '__fish_seen_subcommand_from " + std::string(verb.name) + "' -a '(" + kSandboxIds + ")'\n";
  return text;
}

struct ShellRow {
  std::string_view name;
  std::string (*script)();
};

constexpr ShellRow kShells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

}  // namespace

std::vector<VerbOption> all_options() {
  std::vector<VerbOption> options;
  for (const OptionRow& row : exec_options()) options.push_back({"exec", "--" + std::string(row.name), std::string(row.metavar)});
  for (const WordForm& form : sandbox_forms()) {
    for (const WordOption& option : form.options)
      options.push_back({std::string(form.verb), "--" + std::string(option.name), std::string(option.metavar)});
    options.push_back({std::string(form.verb), "--help", ""});
  }
  for (const Extra& extra : kExtras) options.push_back({extra.verb, extra.name, extra.metavar});
  add_oci_options(options);
  return options;
}

Result<int> completion_verb(std::span<char* const> args) {
  if (args.size() == 1)
    for (const ShellRow& shell : kShells)
      if (shell.name == args[0]) {
        TRY(write_out(shell.script()));
        return 0;
      }
  return fail(ErrorKind::kUsage, "completion wants one of bash, zsh, fish");
}

Result<int> options_verb(std::span<char* const>) {
  std::string text;
  for (const VerbOption& option : all_options())
    text += option.verb + " " + option.name + (option.metavar.empty() ? "" : " " + option.metavar) + "\n";
  TRY(write_out(text));
  return 0;
}

}  // namespace clawrun::cli
