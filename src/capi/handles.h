// What stands behind the opaque handles of clawrun.h, and how a failure leaves the library.
#pragma once

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/result.h"
#include "clawrun/clawrun.h"
#include "engine/live_sandbox.h"
#include "plan/plan.h"
#include "spec/outcome.h"
#include "spec/spec.h"

struct clawrun_spec {
  clawrun::spec::SandboxSpec spec;
};

// Belongs to a sandbox, or to who called clawrun_run.
struct clawrun_outcome {
  clawrun::spec::Outcome outcome;
  std::string json;
};

struct clawrun_sandbox {
  std::shared_ptr<const clawrun::plan::Plan> plan;  // for the report
  clawrun::engine::LiveSandbox live;
  clawrun_outcome ended;  // whole when live.has_ended()
};

struct clawrun_error {
  clawrun::Error error;
};

namespace clawrun::capi {

// Into *where, unless that is NULL. NULL as an error is want of memory: clawrun.h
inline void give(clawrun_error** where, Error error) noexcept {
  if (where != nullptr) *where = new (std::nothrow) clawrun_error{std::move(error)};
}

// The value of `body`, a function that returns Result<int>, or -1 with the error given. No exception leaves the library.
template <typename Body>
int guarded(clawrun_error** error, Body body) noexcept {
  try {
    auto result = body();
    if (result) return *result;
    give(error, std::move(result).error());
  } catch (const std::bad_alloc&) {
    if (error != nullptr) *error = nullptr;
  } catch (const std::exception& exception) {
    give(error, Error{ErrorKind::kInternal, 0, exception.what()});
  }
  return -1;
}

inline Result<> refuse_null(const void* pointer, const char* what) {
  if (pointer == nullptr) return fail(ErrorKind::kInvalid, std::string(what) + " is NULL");
  return {};
}

// What a stream is to be, in the words of the engine.
Result<engine::StreamChoice> choice_of(const clawrun_stream& stream);

// For the caller to free with clawrun_data_free or clawrun_string_free; followed by a NUL byte.
char* copied(const std::string& text);

}  // namespace clawrun::capi
