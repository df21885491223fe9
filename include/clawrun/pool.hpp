// Warm pools for C++23: move-only handles over pool.h, failing as std::expected. Header-only; the rules of pool.h hold.
#pragma once

#include <clawrun/clawrun.hpp>
#include <clawrun/pool.h>

namespace clawrun {

// What a claim brings.
class Claim {
 public:
  Claim() : claim_(clawrun_claim_new()) {
    if (!claim_) throw std::bad_alloc();
  }

  [[nodiscard]] const clawrun_claim* get() const { return claim_.get(); }

  Expected<void> command(const std::vector<std::string>& command) {
    std::vector<const char*> argv;
    for (const std::string& word : command) argv.push_back(word.c_str());
    return internal::done([&](clawrun_error** error) { return clawrun_claim_command(claim_.get(), argv.size(), argv.data(), error); });
  }
  Expected<void> code(std::string_view code) {
    return internal::done([&](clawrun_error** error) { return clawrun_claim_code(claim_.get(), code.data(), code.size(), error); });
  }
  Expected<void> env(const std::string& variable) {
    return internal::done([&](clawrun_error** error) { return clawrun_claim_env(claim_.get(), variable.c_str(), error); });
  }
  Expected<void> file(const std::string& path, std::string_view data, unsigned mode = 0644) {
    return internal::done([&](clawrun_error** error) {
      return clawrun_claim_file(claim_.get(), path.c_str(), data.data(), data.size(), mode, error);
    });
  }
  Expected<void> set(const std::string& name, const std::string& value) {
    return internal::done([&](clawrun_error** error) { return clawrun_claim_set(claim_.get(), name.c_str(), value.c_str(), error); });
  }

 private:
  struct FreeClaim {
    void operator()(clawrun_claim* claim) const { clawrun_claim_free(claim); }
  };
  std::unique_ptr<clawrun_claim, FreeClaim> claim_;
};

// What a pool is to be.
class PoolOptions {
 public:
  PoolOptions() : options_(clawrun_pool_options_new()) {
    if (!options_) throw std::bad_alloc();
  }

  [[nodiscard]] const clawrun_pool_options* get() const { return options_.get(); }

  Expected<void> set(const std::string& name, const std::string& value) {
    return internal::done(
        [&](clawrun_error** error) { return clawrun_pool_options_set(options_.get(), name.c_str(), value.c_str(), error); });
  }

 private:
  struct FreeOptions {
    void operator()(clawrun_pool_options* options) const { clawrun_pool_options_free(options); }
  };
  std::unique_ptr<clawrun_pool_options, FreeOptions> options_;
};

// Closed when it is dropped.
class Pool {
 public:
  static Expected<Pool> open(const Sandbox& spec, const PoolOptions& options) {
    clawrun_pool* pool = nullptr;
    auto opened = internal::done([&](clawrun_error** error) { return clawrun_pool_open(spec.get(), options.get(), &pool, error); });
    if (!opened) return std::unexpected(std::move(opened).error());
    return Pool(pool);
  }

  [[nodiscard]] clawrun_pool* get() const { return pool_.get(); }

  Expected<Running> claim(const Claim& claim, const std::array<clawrun_stream, 3>& streams) {
    clawrun_sandbox* sandbox = nullptr;
    auto claimed = internal::done(
        [&](clawrun_error** error) { return clawrun_pool_claim(get(), claim.get(), streams.data(), &sandbox, error); });
    if (!claimed) return std::unexpected(std::move(claimed).error());
    return Running(sandbox);
  }

  // False when the time is over. A negative time is for ever.
  Expected<bool> wait_ready(std::uint64_t count, std::chrono::milliseconds at_most = std::chrono::milliseconds(-1)) {
    const auto result =
        internal::called([&](clawrun_error** error) { return clawrun_pool_wait_ready(get(), count, at_most.count(), error); });
    if (!result) return std::unexpected(result.error());
    return *result == 1;
  }

  Expected<void> resize(std::uint64_t size) {
    return internal::done([&](clawrun_error** error) { return clawrun_pool_resize(get(), size, error); });
  }

  [[nodiscard]] clawrun_pool_stats stats() const {
    clawrun_pool_stats stats;
    clawrun_pool_get_stats(get(), &stats);
    return stats;
  }

 private:
  struct Close {
    void operator()(clawrun_pool* pool) const { clawrun_pool_close(pool); }
  };
  explicit Pool(clawrun_pool* pool) : pool_(pool) {}
  std::unique_ptr<clawrun_pool, Close> pool_;
};

}  // namespace clawrun
