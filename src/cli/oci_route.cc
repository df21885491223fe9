#include <unistd.h>

#include "cli/oci_verbs.h"
#include "cli/options.h"
#include "cli/sandbox_verbs.h"

namespace clawrun::cli {

namespace {

// What the same verb takes for sandboxes.
struct SandboxOption {
  std::string_view name;
  bool takes_value = false;
  char letter = 0;
};

std::vector<SandboxOption> sandbox_options(std::string_view verb) {
  std::vector<SandboxOption> options = {{"help", false, 'h'}};
  if (verb == "exec") {
    for (const OptionRow& row : exec_options()) options.push_back({row.name, !row.metavar.empty()});
    return options;
  }
  for (const WordForm& form : sandbox_forms())
    if (form.verb == verb)
      for (const WordOption& option : form.options) options.push_back({option.name, !option.metavar.empty(), option.letter});
  return options;
}

std::string_view name_of(std::string_view word) {
  while (word.starts_with('-')) word.remove_prefix(1);
  return word.substr(0, word.find('='));
}

const SandboxOption* find_option(const std::vector<SandboxOption>& options, std::string_view name) {
  for (const SandboxOption& option : options)
    if (option.name == name || (name.size() == 1 && name[0] == option.letter)) return &option;
  return nullptr;
}

// What can be told from the words before the first operand.
struct Seen {
  bool oci_only = false;      // an option that sandboxes do not have
  bool sandbox_only = false;  // one that containers do not have, or that nobody has
  bool separator = false;     // --: a sandbox's command follows
  std::string_view operand;
};

Seen look_at(std::string_view verb, std::span<char* const> args) {
  const std::vector<SandboxOption> options = sandbox_options(verb);
  Seen seen;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string_view word = args[i];
    if (word == "--") {
      seen.separator = true;
      return seen;
    }
    if (word.size() < 2 || word.front() != '-') {
      if (seen.operand.empty()) seen.operand = word;
      if (verb == "exec") return seen;
      continue;
    }
    const OciVerb meant = oci_verb_of(verb);
    const OciOption* oci = find_oci_option(meant, word);
    const bool is_oci = oci != nullptr || are_oci_switches(meant, word);
    const SandboxOption* sandbox = find_option(options, name_of(word));
    seen.oci_only = seen.oci_only || (is_oci && sandbox == nullptr);
    seen.sandbox_only = seen.sandbox_only || !is_oci;
    const bool takes_value = oci != nullptr ? !oci->metavar.empty() : sandbox != nullptr && sandbox->takes_value;
    if (takes_value && word.find('=') == std::string_view::npos) ++i;
  }
  return seen;
}

// One look-up of a name that is none but an id's: nothing that the caller wrote leads out of the directory.
bool is_container(const std::string& root, std::string_view id) {
  const std::string name(id);
  return state::check_container_id(name) && ::access((root + "/" + name).c_str(), F_OK) == 0;
}

}  // namespace

bool is_for_container(std::string_view verb, std::span<char* const> args, const OciGlobals& globals) {
  if (globals.given) return true;
  const Seen seen = look_at(verb, args);
  if (seen.separator) return false;
  if (verb != "list" && !seen.operand.empty() && is_container(state::default_container_root(), seen.operand)) return true;
  return seen.oci_only && !seen.sandbox_only;
}

}  // namespace clawrun::cli
