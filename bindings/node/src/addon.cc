// Node-API over libclawrun: handles, promises and the event loop. What the package means is in lib/.
//
// Threads: what blocks (starting, claiming, files) runs on libuv's threads; everything else, and every clawrun_sandbox_process,
// on the loop's. A handle is never used by two threads at once: while a thread works on its files it is not polled.
#include <chrono>
#include <csignal>
#include <utility>

#include "pool.h"
#include "sandbox.h"

namespace clawrun_node {
namespace {

// Everything that was started in it dies, and is waited for: a cgroup outlives the process that does not take it away.
void close_everything(Context& context) {
  bool is_idle = false;
  {
    std::unique_lock lock(context.mutex);
    context.is_closing = true;
    // A start takes milliseconds. A claim that waits for its pool is not waited for.
    is_idle = context.idle.wait_for(lock, std::chrono::seconds(1), [&] { return context.executing == 0; });
  }
  for (const Sandbox* sandbox : context.sandboxes) clawrun_sandbox_kill(sandbox->handle, SIGKILL, nullptr);
  const std::set<Sandbox*> sandboxes = context.sandboxes;
  for (Sandbox* sandbox : sandboxes)
    if (is_idle || !sandbox->is_busy) release(sandbox);
  if (is_idle)
    for (Work* work : context.works) clawrun_sandbox_free(std::exchange(work->started, nullptr));
  for (Pool* pool : context.pools) pool->pool.reset();
}

napi_value close_all(napi_env env, napi_callback_info) {
  close_everything(*context_of(env));
  return undefined(env);
}

void on_cleanup(napi_async_cleanup_hook_handle, void* data) {
  const std::unique_ptr<SharedContext> context(static_cast<SharedContext*>(data));
  close_everything(**context);
  (*context)->is_ending = true;
  maybe_finish_cleanup(**context);
}

}  // namespace
}  // namespace clawrun_node

NAPI_MODULE_INIT() {
  using namespace clawrun_node;
  auto context = std::make_shared<Context>();
  context->env = env;
  napi_get_uv_event_loop(env, &context->loop);
  napi_async_init(env, nullptr, text_value(env, "clawrun"), &context->async);
  napi_add_async_cleanup_hook(env, &on_cleanup, new SharedContext(context), &context->cleanup);
  napi_set_instance_data(
      env, new SharedContext(context), [](napi_env, void* data, void*) { delete static_cast<SharedContext*>(data); }, nullptr);
  add_sandbox_calls(env, exports);
  add_pool_calls(env, exports);
  add_functions(env, exports, {{"closeAll", &close_all}});
  return exports;
}
