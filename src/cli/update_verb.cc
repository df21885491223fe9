#include "base/text.h"
#include "cli/oci_verbs.h"
#include "cli/output.h"
#include "cli/sandbox_verbs.h"
#include "engine/sandboxes.h"
#include "spec/settings.h"

namespace clawrun::cli {

namespace {

// The limits of `exec` that a cgroup holds; those that belong to a process are given at its start and stay.
constexpr std::string_view kLimits[] = {"memory",     "memory-swap", "memory-high", "cpus",   "cpu-weight",
                                        "cpu-shares", "cpuset",      "pids",        "io-max", "io-weight"};

}  // namespace

WordForm update_form() {
  WordForm form = {"update",
                   "ID",
                   "Changes limits of a running sandbox; what is not given stays as it is, and none lifts a limit.\n"
                   "ID is the id of a sandbox, or a beginning of it that no other has.\n",
                   {}};
  for (const std::string_view name : kLimits)
    if (const spec::Setting* setting = spec::find_setting(name); setting != nullptr)
      form.options.push_back({setting->name, setting->metavar, setting->help});
  return form;
}

Result<int> update_verb(std::span<char* const> args) {
  const Words words = TRY(read_words(update_form(), args));
  if (words.has("help")) {
    TRY(write_out(help_of(update_form()) + "\nOr an OCI container:\n" + oci_help("update")));
    return 0;
  }
  if (words.options.empty())
    return fail(ErrorKind::kUsage, "no limit is given, such as --memory 256m (clawrun update --help lists them)");
  spec::SandboxSpec wanted;
  for (const auto& [name, value] : words.options)
    if (auto applied = spec::apply_setting(wanted, name, value); !applied)
      return while_doing("--" + std::string(name), applied.error());
  TRY(engine::update(std::string(words.operands.front()), wanted.limits));
  return 0;
}

}  // namespace clawrun::cli
