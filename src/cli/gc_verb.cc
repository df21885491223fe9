#include "cli/message.h"
#include "cli/output.h"
#include "cli/sandbox_verbs.h"
#include "engine/sandboxes.h"
#include "tables/exit_codes.h"

namespace clawrun::cli {

WordForm gc_form() {
  return {"gc",
          "",
          "Ends and removes what sandboxes have left whose clawrun was killed: processes, cgroups, records.\n"
          "Prints their ids. Sandboxes that run are not touched. Each start of a sandbox does some of the same.\n",
          {}};
}

Result<int> gc_verb(std::span<char* const> args) {
  const Words words = TRY(read_words(gc_form(), args));
  if (words.has("help")) {
    TRY(write_out(help_of(gc_form())));
    return 0;
  }
  const state::Swept swept = engine::collect_garbage();
  std::string text;
  for (const std::string& id : swept.ids) text += id + "\n";
  TRY(write_out(text));
  for (const std::string& problem : swept.problems) write_error("gc: " + problem);
  return swept.problems.empty() ? tables::kExitOk : tables::kExitFailure;
}

}  // namespace clawrun::cli
