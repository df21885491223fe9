// clawrun_pool: sandboxes that are kept ready.

#include "pool/pool.h"
#include "capi/handles.h"
#include "clawrun/pool.h"

using clawrun::Result;
using clawrun::capi::guarded;
using clawrun::capi::refuse_null;

struct clawrun_pool_options {
  clawrun::pool::Options options;
};

struct clawrun_pool {
  clawrun::pool::Pool pool;
};

struct clawrun_claim {
  clawrun::pool::Claim claim;
};

namespace {

template <typename Handle>
Handle* made() noexcept {
  try {
    return new Handle;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// nullptr when memory is out.
template <typename Words>
char* text_of(Words words) noexcept {
  try {
    return clawrun::capi::copied(words());
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Result<std::unique_ptr<clawrun_sandbox>> claim_of(clawrun_pool* pool, const clawrun_claim* claim, const clawrun_stream* streams) {
  clawrun::engine::StreamChoice choices[3];
  for (int i = 0; i < 3; ++i)
    choices[i] = TRY(clawrun::capi::choice_of(streams == nullptr ? clawrun_stream{CLAWRUN_PIPE, -1} : streams[i]));
  static const clawrun::pool::Claim kNothing;
  clawrun::pool::Claimed claimed = TRY(pool->pool.claim(claim == nullptr ? kNothing : claim->claim, choices));
  return std::unique_ptr<clawrun_sandbox>(new clawrun_sandbox{std::move(claimed.plan), std::move(claimed.sandbox), {}});
}

}  // namespace

extern "C" {

clawrun_pool_options* clawrun_pool_options_new(void) {
  return made<clawrun_pool_options>();
}

void clawrun_pool_options_free(clawrun_pool_options* options) {
  delete options;
}

int clawrun_pool_options_set(clawrun_pool_options* options, const char* name, const char* value, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(options, "options"));
    TRY(refuse_null(name, "name"));
    TRY(refuse_null(value, "value"));
    TRY(clawrun::pool::set_option(options->options, name, value));
    return 0;
  });
}

int clawrun_pool_open(const clawrun_spec* spec, const clawrun_pool_options* options, clawrun_pool** pool, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(spec, "spec"));
    TRY(refuse_null(pool, "pool"));
    clawrun::pool::Pool opened =
        TRY(clawrun::pool::Pool::open(spec->spec, options == nullptr ? clawrun::pool::Options() : options->options));
    *pool = new clawrun_pool{std::move(opened)};
    return 0;
  });
}

void clawrun_pool_close(clawrun_pool* pool) {
  delete pool;
}

int clawrun_pool_wait_ready(clawrun_pool* pool, uint64_t count, int64_t timeout_ms, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(pool, "pool"));
    const bool are_ready = TRY(pool->pool.wait_ready(count, std::chrono::milliseconds(timeout_ms)));
    return are_ready ? 1 : 0;
  });
}

int clawrun_pool_resize(clawrun_pool* pool, uint64_t size, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(pool, "pool"));
    TRY(pool->pool.resize(size));
    return 0;
  });
}

void clawrun_pool_get_stats(clawrun_pool* pool, clawrun_pool_stats* stats) {
  const clawrun::pool::Stats now = pool->pool.stats();
  *stats = {.size = now.size,
            .ready = now.ready,
            .filling = now.filling,
            .hits = now.hits,
            .misses = now.misses,
            .waited = now.waited,
            .starved = now.starved,
            .made = now.made,
            .died = now.died,
            .failed = now.failed,
            .shrunk = now.shrunk,
            .refill_us_total = now.refill_us_total,
            .refill_us_max = now.refill_us_max};
}

char* clawrun_pool_stats_json(clawrun_pool* pool) {
  return text_of([&] { return clawrun::pool::to_json(pool->pool.stats()); });
}

char* clawrun_pool_stats_prometheus(clawrun_pool* pool, const char* name) {
  return text_of([&] { return clawrun::pool::to_prometheus(pool->pool.stats(), name == nullptr ? "" : name); });
}

clawrun_claim* clawrun_claim_new(void) {
  return made<clawrun_claim>();
}

void clawrun_claim_free(clawrun_claim* claim) {
  delete claim;
}

int clawrun_claim_command(clawrun_claim* claim, size_t argc, const char* const* argv, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(claim, "claim"));
    if (argc != 0) TRY(refuse_null(argv, "argv"));
    std::vector<std::string> command;
    for (size_t i = 0; i < argc; ++i) {
      TRY(refuse_null(argv[i], "an argument"));
      command.emplace_back(argv[i]);
    }
    claim->claim.command = std::move(command);
    return 0;
  });
}

int clawrun_claim_code(clawrun_claim* claim, const void* code, size_t size, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(claim, "claim"));
    if (size != 0) TRY(refuse_null(code, "code"));
    claim->claim.code = std::string(static_cast<const char*>(code), size);
    return 0;
  });
}

int clawrun_claim_env(clawrun_claim* claim, const char* variable, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(claim, "claim"));
    TRY(refuse_null(variable, "variable"));
    TRY(claim->claim.add_variable(variable));
    return 0;
  });
}

int clawrun_claim_file(clawrun_claim* claim, const char* path, const void* data, size_t size, unsigned mode,
                       clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(claim, "claim"));
    TRY(refuse_null(path, "path"));
    if (size != 0) TRY(refuse_null(data, "data"));
    claim->claim.files.push_back({path, std::string(static_cast<const char*>(data), size), mode});
    return 0;
  });
}

int clawrun_claim_set(clawrun_claim* claim, const char* name, const char* value, clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(claim, "claim"));
    TRY(refuse_null(name, "name"));
    TRY(refuse_null(value, "value"));
    TRY(claim->claim.set(name, value));
    return 0;
  });
}

int clawrun_pool_claim(clawrun_pool* pool, const clawrun_claim* claim, const clawrun_stream streams[3], clawrun_sandbox** sandbox,
                       clawrun_error** error) {
  return guarded(error, [&]() -> Result<int> {
    TRY(refuse_null(pool, "pool"));
    TRY(refuse_null(sandbox, "sandbox"));
    auto claimed = TRY(claim_of(pool, claim, streams));
    *sandbox = claimed.release();
    return 0;
  });
}
}
