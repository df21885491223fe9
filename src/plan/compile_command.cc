#include <algorithm>

#include "base/text.h"
#include "plan/internal.h"

namespace clawrun::plan {

namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

// The environment is built here and nowhere else; the caller's is never copied. Looked up as execvp(3) does, in the
// sandbox's PATH, whose empty parts do not mean the current directory here.
void compile_command(Plan& plan, const spec::SandboxSpec& spec) {
  std::vector<spec::Variable> variables{{"PATH", std::string(kPath)}, {"HOME", "/tmp"}, {"LANG", "C.UTF-8"}};
  if (spec.tty) variables.push_back({"TERM", "xterm-256color"});
  for (const spec::Variable& wanted : spec.environment) {
    if (!wanted.value) continue;  // passed through, and the caller has none
    const auto found = std::ranges::find(variables, wanted.name, &spec::Variable::name);
    if (found == variables.end())
      variables.push_back(wanted);
    else
      found->value = wanted.value;
  }
  std::string path;
  for (const spec::Variable& variable : variables) {
    plan.environment.push_back(variable.name + "=" + *variable.value);
    if (variable.name == "PATH") path = *variable.value;
  }
  plan.workdir = spec.workdir.empty() ? spec::kWorkspace : spec.workdir;
  plan.argv = spec.command;
  const std::string& command = spec.command[0];
  if (command.find('/') != std::string::npos) {
    plan.candidates = {command};
    return;
  }
  for (const std::string_view directory : split(path, ':'))
    if (directory.starts_with('/')) plan.candidates.push_back(std::string(directory) + "/" + command);
}

}  // namespace clawrun::plan
