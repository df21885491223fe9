#include "sandbox.h"

#include <unistd.h>

#include <csignal>
#include <utility>

namespace clawrun_node {

namespace {

void let_go(Sandbox* sandbox) {
  if (--sandbox->uses == 0) delete sandbox;
}

void on_event(uv_poll_t* poll, int, int);

void resume(Sandbox* sandbox) {
  if (!sandbox->has_ended) uv_poll_start(&sandbox->poll, UV_READABLE, &on_event);
}

napi_value outcome_value(napi_env env, const clawrun_outcome* outcome) {
  napi_value value = nullptr;
  napi_create_object(env, &value);
  napi_set_named_property(env, value, "status", number_value(env, clawrun_outcome_status(outcome)));
  napi_set_named_property(env, value, "exitCode", number_value(env, clawrun_outcome_exit_code(outcome)));
  napi_set_named_property(env, value, "signal", number_value(env, clawrun_outcome_signal(outcome)));
  napi_set_named_property(env, value, "json", text_value(env, clawrun_outcome_json(outcome)));
  return value;
}

void on_event(uv_poll_t* poll, int, int) {
  auto* sandbox = static_cast<Sandbox*>(poll->data);
  clawrun_error* error = nullptr;
  const int result = clawrun_sandbox_process(sandbox->handle, &error);
  if (result == 0) return;
  const napi_env env = sandbox->context->env;
  uv_poll_stop(poll);
  sandbox->has_ended = true;
  ++sandbox->uses;  // the promise's reactions run below, and may release it
  napi_handle_scope handles = nullptr;
  napi_callback_scope reactions = nullptr;
  napi_open_handle_scope(env, &handles);
  napi_value resource = nullptr;
  napi_create_object(env, &resource);
  napi_open_callback_scope(env, resource, sandbox->context->async, &reactions);
  if (sandbox->exited == nullptr) {
    // Adopted while the environment was ending already.
  } else if (result > 0) {
    napi_resolve_deferred(env, sandbox->exited, outcome_value(env, clawrun_sandbox_outcome(sandbox->handle)));
  } else {
    napi_reject_deferred(env, sandbox->exited, error_value(env, failure_of(error)));
  }
  napi_close_callback_scope(env, reactions);
  napi_close_handle_scope(env, handles);
  if (sandbox->is_dropped) drop(sandbox);
  let_go(sandbox);
}

}  // namespace

void maybe_finish_cleanup(Context& context) {
  if (!context.is_ending || context.cleanup == nullptr || context.open_polls != 0) return;
  napi_remove_async_cleanup_hook(context.cleanup);
  context.cleanup = nullptr;
}

void release(Sandbox* sandbox) {
  if (sandbox->handle == nullptr) return;
  sandbox->context->sandboxes.erase(sandbox);
  clawrun_sandbox_free(sandbox->handle);
  sandbox->handle = nullptr;
  for (int& stream : sandbox->streams)
    if (stream >= 0) close(std::exchange(stream, -1));
  uv_close(reinterpret_cast<uv_handle_t*>(&sandbox->poll), [](uv_handle_t* poll) {
    auto* closed = static_cast<Sandbox*>(poll->data);
    const SharedContext context = closed->context;
    --context->open_polls;
    let_go(closed);
    maybe_finish_cleanup(*context);
  });
}

void drop(Sandbox* sandbox) {
  if (sandbox->handle == nullptr) return;
  sandbox->is_dropped = true;
  if (!sandbox->has_ended) {
    clawrun_sandbox_kill(sandbox->handle, SIGKILL, nullptr);
  } else if (!sandbox->is_busy) {
    release(sandbox);
  }
}

napi_value adopt(Work& work) {
  if (work.has_failed) return nullptr;
  const napi_env env = work.context->env;
  auto* sandbox = new Sandbox{work.context, std::exchange(work.started, nullptr)};
  const int fd = clawrun_sandbox_fd(sandbox->handle);
  sandbox->poll.data = sandbox;
  if (const int status = uv_poll_init(work.context->loop, &sandbox->poll, fd); status < 0) {
    clawrun_sandbox_free(sandbox->handle);
    delete sandbox;
    work.has_failed = true;
    work.failure = {std::string("the event loop cannot watch the sandbox: ") + uv_strerror(status), 125, -status};
    return nullptr;
  }
  sandbox->uses = 2;  // JavaScript's and the poll's
  ++work.context->open_polls;
  work.context->sandboxes.insert(sandbox);
  // Taken at once: later a thread may be at work on the handle.
  for (int i = 0; i < 3; ++i) sandbox->streams[i] = clawrun_sandbox_take_stream(sandbox->handle, i);
  napi_value result = nullptr;
  napi_value exited = nullptr;
  napi_create_object(env, &result);
  napi_create_promise(env, &sandbox->exited, &exited);
  resume(sandbox);
  const napi_value handle = wrapped(env, sandbox, [](napi_env, void* data, void*) {
    drop(static_cast<Sandbox*>(data));
    let_go(static_cast<Sandbox*>(data));
  });
  if (result == nullptr || handle == nullptr) return nullptr;
  napi_set_named_property(env, result, "handle", handle);
  napi_set_named_property(env, result, "exited", exited);
  return result;
}

napi_value queue_file_work(napi_env env, Sandbox* sandbox, std::function<void(Work&)> run,
                           std::function<napi_value(Work&)> finish) {
  sandbox->is_busy = true;
  ++sandbox->uses;
  uv_poll_stop(&sandbox->poll);
  return queue_work(env, std::move(run), [sandbox, finish = std::move(finish)](Work& work) {
    const napi_value value = finish(work);
    sandbox->is_busy = false;
    if (sandbox->handle != nullptr) resume(sandbox);
    if (sandbox->is_dropped) drop(sandbox);
    let_go(sandbox);
    return value;
  });
}

bool read_streams(napi_env env, napi_value array, Streams& streams) {
  for (std::uint32_t i = 0; i < 3; ++i) {
    std::int64_t mode = 0;
    std::int64_t fd = 0;
    const napi_value pair = element(env, array, i);
    if (!read_number(env, element(env, pair, 0), mode) || !read_number(env, element(env, pair, 1), fd)) return false;
    streams.at[i] = {static_cast<int>(mode), static_cast<int>(fd)};
  }
  return true;
}

}  // namespace clawrun_node
