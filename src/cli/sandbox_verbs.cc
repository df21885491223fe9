#include "cli/sandbox_verbs.h"

namespace clawrun::cli {

std::vector<WordForm> sandbox_forms() {
  return {list_form(), stats_form(), update_form(), pause_form(), resume_form(), gc_form()};
}

}  // namespace clawrun::cli
