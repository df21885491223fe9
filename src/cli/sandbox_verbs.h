// The verbs over running sandboxes: list, stats, update, pause, resume, gc.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "cli/words.h"

namespace clawrun::cli {

// `args` are the words after the verb.
Result<int> list_verb(std::span<char* const> args);
Result<int> stats_verb(std::span<char* const> args);
Result<int> update_verb(std::span<char* const> args);
Result<int> pause_verb(std::span<char* const> args);
Result<int> resume_verb(std::span<char* const> args);
Result<int> gc_verb(std::span<char* const> args);

// What each of them takes.
WordForm list_form();
WordForm stats_form();
WordForm update_form();
WordForm pause_form();
WordForm resume_form();
WordForm gc_form();

// All six: for the completions.
std::vector<WordForm> sandbox_forms();

}  // namespace clawrun::cli
