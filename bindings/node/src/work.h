// One Node environment, the main thread's or a worker's, and work for it on threads of libuv's.
#pragma once

#include <uv.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "values.h"

namespace clawrun_node {

struct Sandbox;
struct Pool;
struct Work;

struct Context {
  napi_env env = nullptr;
  uv_loop_t* loop = nullptr;
  napi_async_context async = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  std::set<Sandbox*> sandboxes;  // those with a clawrun_sandbox
  std::set<Work*> works;
  std::set<Pool*> pools;
  std::size_t open_polls = 0;
  bool is_ending = false;  // `cleanup` is to be removed when no poll is open any more

  std::mutex mutex;  // of the two below
  std::condition_variable idle;
  std::size_t executing = 0;
  bool is_closing = false;  // nothing is started any more
};

using SharedContext = std::shared_ptr<Context>;

SharedContext context_of(napi_env env);

struct Work {
  SharedContext context;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  std::function<void(Work&)> run;           // on the other thread
  std::function<napi_value(Work&)> finish;  // on the loop's; called after a failure too, its value is not used then
  bool has_failed = false;
  Failure failure;
  clawrun_sandbox* started = nullptr;  // until finish takes it

  void check(int result, clawrun_error* error) {
    if (result >= 0) return;
    has_failed = true;
    failure = failure_of(error);
  }
};

// A promise of what `finish` returns.
napi_value queue_work(napi_env env, std::function<void(Work&)> run, std::function<napi_value(Work&)> finish);

}  // namespace clawrun_node
