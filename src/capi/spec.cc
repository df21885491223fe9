// clawrun_spec: what a sandbox is to be.

#include <cstring>

#include "capi/handles.h"
#include "engine/exec.h"
#include "report/problems_json.h"
#include "report/report.h"
#include "spec/profile.h"
#include "spec/settings.h"

using clawrun::Result;
using clawrun::capi::guarded;
using clawrun::capi::refuse_null;
using clawrun::spec::SandboxSpec;

namespace clawrun::capi {

char* copied(const std::string& text) {
  void* copy = ::operator new(text.size() + 1);
  return static_cast<char*>(std::memcpy(copy, text.c_str(), text.size() + 1));
}

}  // namespace clawrun::capi

extern "C" {

const char* clawrun_version(void) {
  return CLAWRUN_VERSION;
}

void clawrun_string_free(char* text) {
  ::operator delete(text);
}

void clawrun_data_free(void* data) {
  ::operator delete(data);
}

clawrun_spec* clawrun_spec_new(void) {
  try {
    return new clawrun_spec;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

clawrun_spec* clawrun_spec_copy(const clawrun_spec* spec) {
  try {
    return spec == nullptr ? nullptr : new clawrun_spec(*spec);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void clawrun_spec_free(clawrun_spec* spec) {
  delete spec;
}

int clawrun_spec_set(clawrun_spec* spec, const char* name, const char* value, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(name, "name"));
    TRY(refuse_null(value, "value"));
    SandboxSpec changed = spec->spec;
    auto applied = clawrun::spec::apply_setting(changed, name, value);
    if (!applied) return clawrun::while_doing(name, applied.error());
    spec->spec = std::move(changed);
    return 0;
  });
}

int clawrun_spec_profile(clawrun_spec* spec, const char* name_or_file, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(name_or_file, "name_or_file"));
    SandboxSpec changed = spec->spec;
    TRY(clawrun::engine::apply_profile(changed, name_or_file));
    spec->spec = std::move(changed);
    return 0;
  });
}

int clawrun_spec_json(clawrun_spec* spec, const char* text, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(text, "text"));
    SandboxSpec changed = spec->spec;
    TRY(clawrun::spec::apply_json(changed, text, "the specification"));
    spec->spec = std::move(changed);
    return 0;
  });
}

int clawrun_spec_command(clawrun_spec* spec, size_t argc, const char* const* argv, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    if (argc != 0) TRY(refuse_null(argv, "argv"));
    std::vector<std::string> command;
    for (size_t i = 0; i < argc; ++i) {
      TRY(refuse_null(argv[i], "an argument"));
      command.emplace_back(argv[i]);
    }
    spec->spec.command = std::move(command);
    return 0;
  });
}

int clawrun_spec_file(clawrun_spec* spec, const char* path, const void* data, size_t size, unsigned mode, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(path, "path"));
    if (size != 0) TRY(refuse_null(data, "data"));
    // What is wrong with it is one of the problems that the specification has.
    spec->spec.files.push_back({path, std::string(static_cast<const char*>(data), size), mode});
    return 0;
  });
}

char* clawrun_spec_validate(const clawrun_spec* spec, clawrun_error** error) {
  char* text = nullptr;
  guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    const auto problems = clawrun::engine::problems_of(spec->spec);
    text = clawrun::capi::copied(clawrun::report::problems_to_json(problems));
    return 0;
  });
  return text;
}

char* clawrun_spec_plan(const clawrun_spec* spec, clawrun_error** error) {
  char* text = nullptr;
  guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    const clawrun::plan::Plan plan = TRY(clawrun::engine::prepare(spec->spec));
    text = clawrun::capi::copied(clawrun::report::plan_to_json(plan));
    return 0;
  });
  return text;
}
}
