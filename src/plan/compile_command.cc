#include <algorithm>

#include "base/text.h"
#include "plan/compile.h"
#include "plan/internal.h"

namespace clawrun::plan {

namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// In both spellings: curl(1) reads http_proxy in lower case only.
void add_proxies(std::vector<spec::Variable>& variables) {
  const std::string proxy = std::string(net::kGatewayV4) + ":" + std::to_string(net::kProxyPort);
  const struct {
    const char* lower;
    const char* upper;
    std::string value;
  } rows[] = {{"http_proxy", "HTTP_PROXY", "http://" + proxy},
              {"https_proxy", "HTTPS_PROXY", "http://" + proxy},
              {"all_proxy", "ALL_PROXY", "socks5h://" + proxy},
              {"no_proxy", "NO_PROXY", "localhost,127.0.0.1,::1"}};
  for (const auto& row : rows) {
    variables.push_back({row.lower, row.value});
    variables.push_back({row.upper, row.value});
  }
}

}  // namespace

// The environment is built here and nowhere else; the caller's is never copied.
void compile_command(Plan& plan, const spec::SandboxSpec& spec) {
  std::vector<spec::Variable> variables{{"PATH", std::string(kPath)}, {"HOME", "/tmp"}, {"LANG", "C.UTF-8"}};
  if (spec.outgoing.proxy_environment) add_proxies(variables);
  if (spec.tty) variables.push_back({"TERM", "xterm-256color"});
  for (const spec::Variable& wanted : spec.environment) {
    if (!wanted.value) continue;  // passed through, and the caller has none
    const auto found = std::ranges::find(variables, wanted.name, &spec::Variable::name);
    if (found == variables.end())
      variables.push_back(wanted);
    else
      found->value = wanted.value;
  }
  for (const spec::Variable& variable : variables) plan.environment.push_back(variable.name + "=" + *variable.value);
  plan.workdir = spec.workdir.empty() ? spec::kWorkspace : spec.workdir;
  plan.argv = spec.command;
  plan.candidates = candidates_for(plan.argv[0], plan.environment);
}

Result<> check_words(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                     std::optional<std::uint64_t> memory_bytes) {
  constexpr std::uint64_t kOfExec = 512 << 10U;
  std::uint64_t bytes = 0;
  for (const auto* words : {&argv, &environment})
    for (const std::string& word : *words) bytes += word.size() + 1 + sizeof(char*);
  // Pages, and the tables of pages.
  const std::uint64_t needed = kOfExec + bytes + bytes / 4;
  if (!memory_bytes || *memory_bytes >= needed) return {};
  return fail(ErrorKind::kInvalid, "--memory: " + format_size(*memory_bytes) + " is too little for " + format_size(bytes) +
                                       " of arguments and environment: at least " + std::to_string(needed));
}

// As execvp(3) does, in the sandbox's PATH, whose empty parts do not mean the current directory here.
std::vector<std::string> candidates_for(const std::string& command, const std::vector<std::string>& environment) {
  if (command.find('/') != std::string::npos) return {command};
  std::vector<std::string> candidates;
  constexpr std::string_view kName = "PATH=";
  for (const std::string& variable : environment)
    if (variable.starts_with(kName))
      for (const std::string_view directory : split(std::string_view(variable).substr(kName.size()), ':'))
        if (directory.starts_with('/')) candidates.push_back(std::string(directory) + "/" + command);
  return candidates;
}

}  // namespace clawrun::plan
