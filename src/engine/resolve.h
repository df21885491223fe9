// What a specification names outside itself - files, variables, directories, the host - looked up before it is compiled.
#pragma once

#include "base/result.h"
#include "plan/compile.h"
#include "spec/spec.h"

namespace clawrun::engine {

// Environment files are read, passed-through variables get the caller's value, relative paths become absolute.
Result<> resolve_words(spec::SandboxSpec& spec);

// Everything that compile() needs to know.
Result<plan::Inputs> gather_inputs(const spec::ValidSpec& spec);

}  // namespace clawrun::engine
