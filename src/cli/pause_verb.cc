#include "cli/oci_verbs.h"
#include "cli/output.h"
#include "cli/sandbox_verbs.h"
#include "engine/sandboxes.h"

namespace clawrun::cli {

namespace {

Result<int> run(const WordForm& form, std::span<char* const> args, Result<> (*act)(const std::string& id)) {
  const Words words = TRY(read_words(form, args));
  if (words.has("help")) {
    TRY(write_out(help_of(form) + "\nOr an OCI container:\n" + oci_help(form.verb)));
    return 0;
  }
  TRY(act(std::string(words.operands.front())));
  return 0;
}

}  // namespace

WordForm pause_form() {
  return {"pause",
          "ID",
          "Stops all processes of a running sandbox where they are, and returns when they have stopped.\n"
          "Its --timeout runs on, and ends it too. ID is the id of a sandbox, or a beginning of it that no other has.\n",
          {}};
}

WordForm resume_form() {
  return {
      "resume", "ID", "Lets a paused sandbox go on.\nID is the id of a sandbox, or a beginning of it that no other has.\n", {}};
}

Result<int> pause_verb(std::span<char* const> args) {
  return run(pause_form(), args, engine::pause);
}

Result<int> resume_verb(std::span<char* const> args) {
  return run(resume_form(), args, engine::resume);
}

}  // namespace clawrun::cli
