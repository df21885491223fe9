// The verbs over OCI containers, as runc and crun have them: options before the verb, which container is meant, exit status.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/oci_log.h"
#include "cli/oci_options.h"
#include "engine/containers.h"

namespace clawrun::cli {

// What stands before the verb.
struct OciGlobals {
  engine::Runtime runtime;
  OciLog log;
  bool given = false;  // any option at all: then the verb is about containers, and about no sandbox
  bool version = false;
  bool help = false;
  std::size_t verb_at = 0;  // the index of the verb among the words
};

// Fails with what is to be told on standard error, or in the log where that could be opened.
Result<> read_oci_globals(std::span<char* const> args, OciGlobals& globals);

bool is_oci_verb(std::string_view verb);

// Of the verbs that sandboxes have too (exec, list, stats, update, pause, resume): whether these words are about a container.
// They are where there is a container of that id, which costs a look-up of one name, or where an option is one for containers
// only.
bool is_for_container(std::string_view verb, std::span<char* const> args, const OciGlobals& globals);

// Returns the exit status; the error has been written.
int run_oci_verb(std::string_view verb, std::span<char* const> args, const OciGlobals& globals);

// What --help prints for the verb; for a verb that sandboxes have as well it stands behind theirs.
std::string oci_help(std::string_view verb);

// The lines of `clawrun --help` about what stands before the verb.
std::string oci_global_help();

// Of a verb's name; kGlobal where there is none of that name.
OciVerb oci_verb_of(std::string_view verb);

// The tables of `list` behind those of the sandboxes, "" where there is no container; and the ids, one a line.
enum class OciListForm : std::uint8_t { kTable, kIds };
Result<std::string> listed_containers(OciListForm form);

}  // namespace clawrun::cli
