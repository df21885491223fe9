// clawrun for C++23: move-only handles over clawrun.h, failing as std::expected. Header-only; the rules of clawrun.h hold.
#pragma once

#include <clawrun/clawrun.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <expected>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clawrun {

struct LibraryError {
  std::string message;  // what failed, where, and what is allowed instead
  int exit_code = 125;  // what `clawrun exec` would have returned
  int errno_value = 0;
};

template <typename T>
using Expected = std::expected<T, LibraryError>;

namespace internal {
struct Free {
  void operator()(clawrun_spec* spec) const { clawrun_spec_free(spec); }
  void operator()(clawrun_sandbox* sandbox) const { clawrun_sandbox_free(sandbox); }
  void operator()(char* text) const { clawrun_string_free(text); }
};

inline std::unexpected<LibraryError> taken(clawrun_error* error) {
  LibraryError copy{clawrun_error_message(error), clawrun_error_exit_code(error), clawrun_error_errno(error)};
  clawrun_error_free(error);
  return std::unexpected(std::move(copy));
}

// What a function that fills in an error answers: -1 for a failure.
template <typename Call>
Expected<int> called(Call call) {
  clawrun_error* error = nullptr;
  const int result = call(&error);
  if (result < 0) return taken(error);
  return result;
}

template <typename Call>
Expected<void> done(Call call) {
  if (auto result = called(call); !result) return std::unexpected(std::move(result).error());
  return {};
}

template <typename Call>
Expected<std::string> text(Call call) {
  clawrun_error* error = nullptr;
  const std::unique_ptr<char, Free> answer(call(&error));
  if (!answer) return taken(error);
  return std::string(answer.get());
}
}  // namespace internal

// How a command ended.
struct RunOutcome {
  int status = CLAWRUN_EXITED;
  int exit_code = 0;  // as `clawrun exec` returns it
  int signal = 0;
  std::string reason;
  std::uint64_t wall_us = 0;
  std::uint64_t cpu_us = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::string json;  // the object of --report
};

// What a standard stream of the command is.
namespace stream {
inline constexpr clawrun_stream kInherit{CLAWRUN_INHERIT, -1};
inline constexpr clawrun_stream kNull{CLAWRUN_NULL, -1};
inline constexpr clawrun_stream kPipe{CLAWRUN_PIPE, -1};
inline constexpr clawrun_stream kCapture{CLAWRUN_CAPTURE, -1};
constexpr clawrun_stream descriptor(int fd) {
  return {CLAWRUN_FD, fd};
}
}  // namespace stream

// One that runs, or has ended; dropped, it is killed and gone.
class Running {
 public:
  explicit Running(clawrun_sandbox* sandbox) : sandbox_(sandbox) {}

  [[nodiscard]] clawrun_sandbox* get() const { return sandbox_.get(); }
  [[nodiscard]] std::string id() const { return clawrun_sandbox_id(get()); }
  [[nodiscard]] int fd() const { return clawrun_sandbox_fd(get()); }
  [[nodiscard]] int pidfd() const { return clawrun_sandbox_pidfd(get()); }
  [[nodiscard]] int stream(int number) const { return clawrun_sandbox_stream(get(), number); }
  // The caller's to close.
  [[nodiscard]] int take_stream(int number) { return clawrun_sandbox_take_stream(get(), number); }

  // True when it has ended. Never waits.
  Expected<bool> process() {
    const auto result = internal::called([&](clawrun_error** error) { return clawrun_sandbox_process(get(), error); });
    if (!result) return std::unexpected(result.error());
    return *result == 1;
  }

  // True when it has ended; false when the time is over. A negative time is for ever.
  Expected<bool> wait(std::chrono::milliseconds at_most = std::chrono::milliseconds(-1)) {
    const auto result =
        internal::called([&](clawrun_error** error) { return clawrun_sandbox_wait(get(), at_most.count(), error); });
    if (!result) return std::unexpected(result.error());
    return *result == 1;
  }

  // SIGKILL ends all of it.
  Expected<void> kill(int signal = SIGKILL) {
    return internal::done([&](clawrun_error** error) { return clawrun_sandbox_kill(get(), signal, error); });
  }

  [[nodiscard]] bool has_ended() const { return clawrun_sandbox_outcome(get()) != nullptr; }

  // Only when it has ended.
  [[nodiscard]] RunOutcome outcome() const {
    const clawrun_outcome* ended = clawrun_sandbox_outcome(get());
    return {clawrun_outcome_status(ended),  clawrun_outcome_exit_code(ended),
            clawrun_outcome_signal(ended),  clawrun_outcome_reason(ended),
            clawrun_outcome_wall_us(ended), clawrun_outcome_cpu_us(ended),
            clawrun_outcome_memory_peak_bytes(ended), clawrun_outcome_json(ended)};
  }

  // What was captured so far; valid until the next process() or wait().
  [[nodiscard]] std::string_view output(int number) const {
    std::size_t size = 0;
    const auto* data = static_cast<const char*>(clawrun_sandbox_output(get(), number, &size));
    return {data, size};
  }
  [[nodiscard]] std::uint64_t output_lost(int number) const { return clawrun_sandbox_output_lost(get(), number); }

  Expected<void> put_file(const std::string& path, std::string_view data, unsigned mode = 0644) {
    return internal::done([&](clawrun_error** error) {
      return clawrun_put_file(get(), path.c_str(), data.data(), data.size(), mode, error);
    });
  }

  [[nodiscard]] Expected<std::string> get_file(const std::string& path, std::size_t max_bytes) const {
    void* data = nullptr;
    std::size_t size = 0;
    auto got = internal::done(
        [&](clawrun_error** error) { return clawrun_get_file(get(), path.c_str(), max_bytes, &data, &size, error); });
    if (!got) return std::unexpected(std::move(got).error());
    std::string content(static_cast<const char*>(data), size);
    clawrun_data_free(data);
    return content;
  }

  // JSON: clawrun_list.
  [[nodiscard]] Expected<std::string> list(const std::string& path = "") const {
    return internal::text([&](clawrun_error** error) { return clawrun_list(get(), path.c_str(), error); });
  }

 private:
  std::unique_ptr<clawrun_sandbox, internal::Free> sandbox_;
};

// What a sandbox is to be: settings by their names in clawrun-profile(5). Can serve any number of them.
class Sandbox {
 public:
  Sandbox() : spec_(clawrun_spec_new()) {
    if (!spec_) throw std::bad_alloc();
  }

  [[nodiscard]] clawrun_spec* get() const { return spec_.get(); }

  Expected<void> set(const std::string& name, const std::string& value) {
    return internal::done([&](clawrun_error** error) { return clawrun_spec_set(get(), name.c_str(), value.c_str(), error); });
  }

  Expected<void> profile(const std::string& name_or_file) {
    return internal::done([&](clawrun_error** error) { return clawrun_spec_profile(get(), name_or_file.c_str(), error); });
  }

  Expected<void> json(const std::string& text) {
    return internal::done([&](clawrun_error** error) { return clawrun_spec_json(get(), text.c_str(), error); });
  }

  Expected<void> command(const std::vector<std::string>& command) {
    std::vector<const char*> words;
    for (const std::string& word : command) words.push_back(word.c_str());
    return internal::done(
        [&](clawrun_error** error) { return clawrun_spec_command(get(), words.size(), words.data(), error); });
  }

  // A file in the work directory when the command starts.
  Expected<void> file(const std::string& path, std::string_view data, unsigned mode = 0644) {
    return internal::done([&](clawrun_error** error) {
      return clawrun_spec_file(get(), path.c_str(), data.data(), data.size(), mode, error);
    });
  }

  // Every problem at once, as JSON: clawrun_spec_validate.
  [[nodiscard]] Expected<std::string> validate() const {
    return internal::text([&](clawrun_error** error) { return clawrun_spec_validate(get(), error); });
  }

  // The plan as JSON: exactly what spawn() would do now.
  [[nodiscard]] Expected<std::string> plan() const {
    return internal::text([&](clawrun_error** error) { return clawrun_spec_plan(get(), error); });
  }

  // Standard input, output and error; without them all are inherited.
  [[nodiscard]] Expected<Running> spawn(const std::array<clawrun_stream, 3>& streams = {}) const {
    clawrun_sandbox* sandbox = nullptr;
    auto spawned = internal::done(
        [&](clawrun_error** error) { return clawrun_spawn(get(), streams.data(), &sandbox, error); });
    if (!spawned) return std::unexpected(std::move(spawned).error());
    return Running(sandbox);
  }

  // Runs the command in a fresh sandbox and waits for its end.
  Expected<RunOutcome> run(const std::vector<std::string>& words) {
    if (auto set = command(words); !set) return std::unexpected(std::move(set).error());
    auto running = spawn();
    if (!running) return std::unexpected(std::move(running).error());
    if (auto waited = running->wait(); !waited) return std::unexpected(std::move(waited).error());
    return running->outcome();
  }

 private:
  std::unique_ptr<clawrun_spec, internal::Free> spec_;
};

}  // namespace clawrun
