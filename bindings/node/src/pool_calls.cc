// What lib/ calls on pools.
#include <utility>

#include "pool.h"
#include "sandbox.h"
#include "steps.h"

namespace clawrun_node {

namespace {

std::shared_ptr<clawrun_pool> open_pool_of(napi_env env, napi_value value) {
  const auto* pool = unwrapped<Pool>(env, value);
  if (pool == nullptr) return nullptr;
  if (pool->pool == nullptr) throw_failure(env, {"the pool has been closed", 125, EBADF});
  return pool->pool;
}

napi_value has_pools(napi_env env, napi_callback_info) {
  napi_value value = nullptr;
  napi_get_boolean(env, &clawrun_pool_open != nullptr, &value);
  return value;
}

// (spec, steps)
napi_value open_pool(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  if (&clawrun_pool_open == nullptr) return throw_failure(env, {"this libclawrun has no pools", 125, ENOSYS});
  const Spec* given = unwrapped<Spec>(env, args.at[0]);
  if (given == nullptr) return nullptr;
  const std::shared_ptr<clawrun_pool_options> options(clawrun_pool_options_new(), Freed<clawrun_pool_options_free>());
  if (options == nullptr) return throw_failure(env, failure_of(nullptr));
  if (!take_steps(env, args.at[1], options.get())) return nullptr;
  const auto opened = std::make_shared<std::shared_ptr<clawrun_pool>>();
  return queue_work(
      env,
      [spec = *given, options, opened](Work& work) {
        clawrun_pool* pool = nullptr;
        clawrun_error* error = nullptr;
        work.check(clawrun_pool_open(spec.get(), options.get(), &pool, &error), error);
        if (pool != nullptr) opened->reset(pool, &clawrun_pool_close);
      },
      [opened](Work& work) -> napi_value {
        if (work.has_failed) return nullptr;
        auto* pool = new Pool{work.context, std::move(*opened)};
        work.context->pools.insert(pool);
        return wrapped(work.context->env, pool, [](napi_env, void* data, void*) {
          auto* dropped = static_cast<Pool*>(data);
          dropped->context->pools.erase(dropped);
          delete dropped;
        });
      });
}

// (pool): fulfilled when what was ready has ended
napi_value close_pool(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  auto* pool = unwrapped<Pool>(env, args.at[0]);
  if (pool == nullptr) return nullptr;
  const auto last = std::make_shared<std::shared_ptr<clawrun_pool>>(std::move(pool->pool));
  return queue_work(
      env, [last](Work&) { last->reset(); }, [](Work& work) { return undefined(work.context->env); });
}

// (pool, steps, streams)
napi_value claim(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const auto pool = open_pool_of(env, args.at[0]);
  Streams streams;
  if (pool == nullptr || !read_streams(env, args.at[2], streams)) return nullptr;
  const std::shared_ptr<clawrun_claim> brought(clawrun_claim_new(), Freed<clawrun_claim_free>());
  if (brought == nullptr) return throw_failure(env, failure_of(nullptr));
  if (!take_steps(env, args.at[1], brought.get())) return nullptr;
  return queue_work(
      env,
      [=](Work& work) {
        clawrun_error* error = nullptr;
        const int result = clawrun_pool_claim(pool.get(), brought.get(), streams.at, &work.started, &error);
        work.check(result, error);
      },
      &adopt);
}

// (pool, count, timeout in ms)
napi_value wait_ready(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const auto pool = open_pool_of(env, args.at[0]);
  std::int64_t count = 0;
  std::int64_t timeout_ms = 0;
  if (pool == nullptr || !read_number(env, args.at[1], count) || !read_number(env, args.at[2], timeout_ms)) return nullptr;
  const auto is_ready = std::make_shared<int>(0);
  return queue_work(
      env,
      [=](Work& work) {
        clawrun_error* error = nullptr;
        *is_ready = clawrun_pool_wait_ready(pool.get(), static_cast<std::uint64_t>(count), timeout_ms, &error);
        work.check(*is_ready, error);
      },
      [is_ready](Work& work) {
        napi_value value = nullptr;
        napi_get_boolean(work.context->env, *is_ready > 0, &value);
        return value;
      });
}

// (pool, size)
napi_value resize_pool(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const auto pool = open_pool_of(env, args.at[0]);
  std::int64_t size = 0;
  if (pool == nullptr || !read_number(env, args.at[1], size)) return nullptr;
  return queue_work(
      env,
      [=](Work& work) {
        clawrun_error* error = nullptr;
        work.check(clawrun_pool_resize(pool.get(), static_cast<std::uint64_t>(size), &error), error);
      },
      [](Work& work) { return undefined(work.context->env); });
}

napi_value pool_stats(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const auto pool = open_pool_of(env, args.at[0]);
  if (pool == nullptr) return nullptr;
  const Text text(clawrun_pool_stats_json(pool.get()));
  return text == nullptr ? throw_failure(env, failure_of(nullptr)) : text_value(env, text.get());
}

// (pool, name)
napi_value pool_prometheus(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const auto pool = open_pool_of(env, args.at[0]);
  std::string name;
  if (pool == nullptr || !read_text(env, args.at[1], name)) return nullptr;
  const Text text(clawrun_pool_stats_prometheus(pool.get(), name.c_str()));
  return text == nullptr ? throw_failure(env, failure_of(nullptr)) : text_value(env, text.get());
}

constexpr Function kFunctions[] = {
    {"hasPools", &has_pools},   {"openPool", &open_pool},     {"closePool", &close_pool}, {"claim", &claim},
    {"waitReady", &wait_ready}, {"resizePool", &resize_pool}, {"poolStats", &pool_stats}, {"poolPrometheus", &pool_prometheus},
};

}  // namespace

void add_pool_calls(napi_env env, napi_value exports) {
  add_functions(env, exports, kFunctions);
}

}  // namespace clawrun_node
