// The C ABI over the engine. The only place besides the command line where exceptions are caught: nothing may leave here.

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "clawrun/clawrun.h"
#include "engine/exec.h"
#include "report/report.h"
#include "spec/settings.h"
#include "tables/exit_codes.h"

struct clawrun_spec {
  clawrun::spec::SandboxSpec spec;
};

struct clawrun_outcome {
  clawrun::spec::Outcome outcome;
  std::string json;
};

struct clawrun_error {
  clawrun::Error error;
};

namespace {

using clawrun::Error;
using clawrun::ErrorKind;
using clawrun::Result;

void give(clawrun_error** where, Error error) {
  if (where != nullptr) *where = new (std::nothrow) clawrun_error{std::move(error)};
}

// Runs `body`, a function that returns Result<>; 0, or -1 with the error given.
template <typename Body>
int guarded(clawrun_error** error, Body body) noexcept {
  try {
    auto result = body();
    if (result) return 0;
    give(error, std::move(result).error());
  } catch (const std::bad_alloc&) {
    if (error != nullptr) *error = nullptr;  // clawrun.h: a NULL error is want of memory
  } catch (const std::exception& exception) {
    give(error, Error{ErrorKind::kInternal, 0, exception.what()});
  }
  return -1;
}

Result<> refuse_null(const void* pointer, const char* what) {
  if (pointer == nullptr) return clawrun::fail(ErrorKind::kInvalid, std::string(what) + " is NULL");
  return {};
}

}  // namespace

extern "C" {

const char* clawrun_version(void) {
  return CLAWRUN_VERSION;
}

clawrun_spec* clawrun_spec_new(void) {
  try {
    return new clawrun_spec;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void clawrun_spec_free(clawrun_spec* spec) {
  delete spec;
}

int clawrun_spec_set(clawrun_spec* spec, const char* name, const char* value, clawrun_error** error) {
  return guarded(error, [&]() -> Result<> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(name, "name"));
    TRY(refuse_null(value, "value"));
    auto applied = clawrun::spec::apply_setting(spec->spec, name, value);
    if (!applied) return clawrun::while_doing(name, applied.error());
    return {};
  });
}

int clawrun_spec_profile(clawrun_spec* spec, const char* name_or_file, clawrun_error** error) {
  return guarded(error, [&]() -> Result<> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(name_or_file, "name_or_file"));
    return clawrun::engine::apply_profile(spec->spec, name_or_file);
  });
}

int clawrun_spec_command(clawrun_spec* spec, size_t argc, const char* const* argv, clawrun_error** error) {
  return guarded(error, [&]() -> Result<> {
    TRY(refuse_null(spec, "spec"));
    if (argc != 0) TRY(refuse_null(argv, "argv"));
    std::vector<std::string> command;
    for (size_t i = 0; i < argc; ++i) {
      TRY(refuse_null(argv[i], "an argument"));
      command.emplace_back(argv[i]);
    }
    spec->spec.command = std::move(command);
    return {};
  });
}

char* clawrun_spec_plan(const clawrun_spec* spec, clawrun_error** error) {
  if (error != nullptr) *error = nullptr;
  char* text = nullptr;
  guarded(error, [&]() -> Result<> {
    TRY(refuse_null(spec, "spec"));
    const clawrun::plan::Plan plan = TRY(clawrun::engine::prepare(spec->spec));
    text = ::strdup(clawrun::report::plan_to_json(plan).c_str());
    return {};
  });
  return text;  // with *error NULL when only the copy failed: clawrun.h calls that want of memory
}

void clawrun_string_free(char* text) {
  std::free(text);
}

int clawrun_run(const clawrun_spec* spec, clawrun_outcome** outcome, clawrun_error** error) {
  return guarded(error, [&]() -> Result<> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(outcome, "outcome"));
    const clawrun::plan::Plan plan = TRY(clawrun::engine::prepare(spec->spec));
    clawrun::spec::Outcome ended = TRY(clawrun::engine::exec(plan, {}));
    std::string json = clawrun::report::to_json(ended, &plan);
    *outcome = new clawrun_outcome{std::move(ended), std::move(json)};
    return {};
  });
}

int clawrun_outcome_status(const clawrun_outcome* outcome) {
  return static_cast<int>(outcome->outcome.status);
}
int clawrun_outcome_exit_code(const clawrun_outcome* outcome) {
  return clawrun::report::exit_code(outcome->outcome);
}
int clawrun_outcome_signal(const clawrun_outcome* outcome) {
  return outcome->outcome.signal;
}
uint64_t clawrun_outcome_wall_us(const clawrun_outcome* outcome) {
  return outcome->outcome.wall_us;
}
const char* clawrun_outcome_json(const clawrun_outcome* outcome) {
  return outcome->json.c_str();
}
void clawrun_outcome_free(clawrun_outcome* outcome) {
  delete outcome;
}

const char* clawrun_error_message(const clawrun_error* error) {
  return error == nullptr ? "out of memory" : error->error.message.c_str();
}
int clawrun_error_exit_code(const clawrun_error* error) {
  return error == nullptr ? clawrun::tables::kExitSetup : clawrun::tables::exec_exit_code(error->error.kind);
}
int clawrun_error_errno(const clawrun_error* error) {
  return error == nullptr ? ENOMEM : error->error.errno_value;
}
void clawrun_error_free(clawrun_error* error) {
  delete error;
}
}
