// clawrun_sandbox: one that runs, its streams and its files.

#include "capi/handles.h"
#include "engine/exec.h"
#include "report/files_json.h"
#include "report/report.h"

using clawrun::ErrorKind;
using clawrun::Result;
using clawrun::capi::guarded;
using clawrun::capi::refuse_null;
using clawrun::engine::LiveSandbox;
using clawrun::engine::StreamChoice;

static_assert(static_cast<int>(StreamChoice::Kind::kInherit) == CLAWRUN_INHERIT);
static_assert(static_cast<int>(StreamChoice::Kind::kNull) == CLAWRUN_NULL);
static_assert(static_cast<int>(StreamChoice::Kind::kPipe) == CLAWRUN_PIPE);
static_assert(static_cast<int>(StreamChoice::Kind::kCapture) == CLAWRUN_CAPTURE);
static_assert(static_cast<int>(StreamChoice::Kind::kDescriptor) == CLAWRUN_FD);

Result<StreamChoice> clawrun::capi::choice_of(const clawrun_stream& stream) {
  if (stream.mode < CLAWRUN_INHERIT || stream.mode > CLAWRUN_FD)
    return clawrun::fail(ErrorKind::kInvalid,
                         std::to_string(stream.mode) + " is no mode of a stream: CLAWRUN_INHERIT, _NULL, _PIPE, _CAPTURE or _FD");
  return StreamChoice{static_cast<StreamChoice::Kind>(stream.mode), stream.fd};
}

namespace {

Result<std::unique_ptr<clawrun_sandbox>> spawn(const clawrun_spec* spec, const clawrun_stream* streams) {
  clawrun::engine::SpawnOptions options;
  options.wants_files = true;
  options.outlives_thread = true;
  for (int i = 0; i < 3 && streams != nullptr; ++i) options.streams[i] = TRY(clawrun::capi::choice_of(streams[i]));
  clawrun::plan::Plan prepared = TRY(clawrun::engine::prepare(spec->spec));
  auto plan = std::make_shared<const clawrun::plan::Plan>(std::move(prepared));
  LiveSandbox live = TRY(LiveSandbox::spawn(*plan, options));
  return std::unique_ptr<clawrun_sandbox>(new clawrun_sandbox{std::move(plan), std::move(live), {}});
}

// The report is made once, when the end is noticed.
int noted(clawrun_sandbox* sandbox, bool has_ended) {
  if (has_ended && sandbox->ended.json.empty()) {
    sandbox->ended.outcome = sandbox->live.outcome();
    sandbox->ended.json = clawrun::report::to_json(sandbox->ended.outcome, sandbox->plan.get());
  }
  return has_ended ? 1 : 0;
}

}  // namespace

extern "C" {

int clawrun_spawn(const clawrun_spec* spec, const clawrun_stream streams[3], clawrun_sandbox** sandbox, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(sandbox, "sandbox"));
    auto spawned = TRY(spawn(spec, streams));
    *sandbox = spawned.release();
    return 0;
  });
}

int clawrun_sandbox_fd(const clawrun_sandbox* sandbox) {
  return sandbox->live.fd();
}

int clawrun_sandbox_process(clawrun_sandbox* sandbox, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(sandbox, "sandbox"));
    return noted(sandbox, sandbox->live.process());
  });
}

int clawrun_sandbox_wait(clawrun_sandbox* sandbox, int64_t timeout_ms, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(sandbox, "sandbox"));
    const bool has_ended =
        TRY(sandbox->live.wait(timeout_ms < 0 ? LiveSandbox::kForever : std::chrono::milliseconds(timeout_ms)));
    return noted(sandbox, has_ended);
  });
}

int clawrun_sandbox_kill(clawrun_sandbox* sandbox, int signal, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(sandbox, "sandbox"));
    TRY(sandbox->live.kill(signal));
    return 0;
  });
}

const clawrun_outcome* clawrun_sandbox_outcome(const clawrun_sandbox* sandbox) {
  return sandbox->ended.json.empty() ? nullptr : &sandbox->ended;
}

const char* clawrun_sandbox_id(const clawrun_sandbox* sandbox) {
  return sandbox->live.id().c_str();
}

int clawrun_sandbox_pidfd(const clawrun_sandbox* sandbox) {
  return sandbox->live.pidfd();
}

int clawrun_sandbox_stream(const clawrun_sandbox* sandbox, int stream) {
  return sandbox->live.stream(stream);
}

int clawrun_sandbox_take_stream(clawrun_sandbox* sandbox, int stream) {
  return sandbox->live.take_stream(stream).release();
}

const void* clawrun_sandbox_output(const clawrun_sandbox* sandbox, int stream, size_t* size) {
  const std::string_view output = sandbox->live.output(stream);
  if (size != nullptr) *size = output.size();
  return output.empty() ? nullptr : output.data();
}

uint64_t clawrun_sandbox_output_lost(const clawrun_sandbox* sandbox, int stream) {
  return sandbox->live.lost_bytes(stream);
}

void clawrun_sandbox_free(clawrun_sandbox* sandbox) {
  delete sandbox;
}

int clawrun_put_file(clawrun_sandbox* sandbox, const char* path, const void* data, size_t size, unsigned mode,
                     clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(sandbox, "sandbox"));
    TRY(refuse_null(path, "path"));
    if (size != 0) TRY(refuse_null(data, "data"));
    TRY(sandbox->live.files().put(path, {static_cast<const char*>(data), size}, mode));
    return 0;
  });
}

int clawrun_get_file(clawrun_sandbox* sandbox, const char* path, size_t max_bytes, void** data, size_t* size,
                     clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(sandbox, "sandbox"));
    TRY(refuse_null(path, "path"));
    TRY(refuse_null(data, "data"));
    TRY(refuse_null(size, "size"));
    const std::string content = TRY(sandbox->live.files().get(path, max_bytes));
    *data = clawrun::capi::copied(content);
    *size = content.size();
    return 0;
  });
}

char* clawrun_list(clawrun_sandbox* sandbox, const char* path, clawrun_error** error) {
  char* text = nullptr;
  guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(sandbox, "sandbox"));
    TRY(refuse_null(path, "path"));
    const auto entries = TRY(sandbox->live.files().list(path));
    text = clawrun::capi::copied(clawrun::report::files_to_json(entries));
    return 0;
  });
  return text;
}

int clawrun_run(const clawrun_spec* spec, clawrun_outcome** outcome, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(outcome, "outcome"));
    const clawrun::plan::Plan plan = TRY(clawrun::engine::prepare(spec->spec));
    clawrun::spec::Outcome ended = TRY(clawrun::engine::exec(plan, {}));
    std::string json = clawrun::report::to_json(ended, &plan);
    *outcome = new clawrun_outcome{std::move(ended), std::move(json)};
    return 0;
  });
}
}
