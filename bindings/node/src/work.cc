#include "work.h"

#include <cerrno>

namespace clawrun_node {

namespace {

void run_work(napi_env, void* data) {
  Work& work = *static_cast<Work*>(data);
  {
    const std::lock_guard lock(work.context->mutex);
    if (work.context->is_closing) {
      work.has_failed = true;
      work.failure = {"the Node environment is ending: nothing is started in it any more", 125, ECANCELED};
      return;
    }
    ++work.context->executing;
  }
  work.run(work);
  const std::lock_guard lock(work.context->mutex);
  --work.context->executing;
  work.context->idle.notify_all();
}

void finish_work(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Work> work(static_cast<Work*>(data));
  work->context->works.erase(work.get());
  const napi_value value = work->finish(*work);
  if (work->has_failed) {
    napi_reject_deferred(env, work->deferred, error_value(env, work->failure));
  } else {
    napi_resolve_deferred(env, work->deferred, value);
  }
  napi_delete_async_work(env, work->work);
  clawrun_sandbox_free(work->started);
}

}  // namespace

SharedContext context_of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<SharedContext*>(data);
}

napi_value queue_work(napi_env env, std::function<void(Work&)> run, std::function<napi_value(Work&)> finish) {
  auto work = std::make_unique<Work>();
  work->context = context_of(env);
  work->run = std::move(run);
  work->finish = std::move(finish);
  napi_value promise = nullptr;
  napi_create_promise(env, &work->deferred, &promise);
  napi_create_async_work(env, nullptr, text_value(env, "clawrun"), &run_work, &finish_work, work.get(), &work->work);
  if (napi_queue_async_work(env, work->work) != napi_ok) return throw_misuse(env, "clawrun: no work can be queued");
  work->context->works.insert(work.get());
  work.release();
  return promise;
}

}  // namespace clawrun_node
