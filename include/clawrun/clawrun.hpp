// clawrun for C++23: move-only handles over clawrun.h, failing as std::expected. Header-only; the rules of clawrun.h hold.
#pragma once

#include <clawrun/clawrun.h>

#include <expected>
#include <memory>
#include <string>
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
  void operator()(clawrun_outcome* outcome) const { clawrun_outcome_free(outcome); }
  void operator()(char* text) const { clawrun_string_free(text); }
};

inline std::unexpected<LibraryError> taken(clawrun_error* error) {
  if (error == nullptr) return std::unexpected(LibraryError{"out of memory", 125, 0});
  LibraryError copy{clawrun_error_message(error), clawrun_error_exit_code(error), clawrun_error_errno(error)};
  clawrun_error_free(error);
  return std::unexpected(std::move(copy));
}
}  // namespace internal

// How a command ended.
class RunOutcome {
 public:
  explicit RunOutcome(clawrun_outcome* outcome) : outcome_(outcome) {}
  [[nodiscard]] int status() const { return clawrun_outcome_status(outcome_.get()); }        // CLAWRUN_EXITED, ...
  [[nodiscard]] int exit_code() const { return clawrun_outcome_exit_code(outcome_.get()); }  // as `clawrun exec` returns it
  [[nodiscard]] int signal() const { return clawrun_outcome_signal(outcome_.get()); }
  [[nodiscard]] std::string json() const { return clawrun_outcome_json(outcome_.get()); }

 private:
  std::unique_ptr<clawrun_outcome, internal::Free> outcome_;
};

// What a sandbox is to be: settings by their names in clawrun-profile(5).
class Sandbox {
 public:
  Sandbox() : spec_(clawrun_spec_new()) {}

  Expected<void> set(const std::string& name, const std::string& value) {
    clawrun_error* error = nullptr;
    if (clawrun_spec_set(spec_.get(), name.c_str(), value.c_str(), &error) != 0) return internal::taken(error);
    return {};
  }

  Expected<void> profile(const std::string& name_or_file) {
    clawrun_error* error = nullptr;
    if (clawrun_spec_profile(spec_.get(), name_or_file.c_str(), &error) != 0) return internal::taken(error);
    return {};
  }

  // The plan as JSON: exactly what run() would do now.
  Expected<std::string> plan(const std::vector<std::string>& command) {
    clawrun_error* error = nullptr;
    if (!give_command(command, &error)) return internal::taken(error);
    const std::unique_ptr<char, internal::Free> text(clawrun_spec_plan(spec_.get(), &error));
    if (!text) return internal::taken(error);
    return std::string(text.get());
  }

  // Runs the command in a fresh sandbox and waits for its end.
  Expected<RunOutcome> run(const std::vector<std::string>& command) {
    clawrun_error* error = nullptr;
    clawrun_outcome* outcome = nullptr;
    if (!give_command(command, &error) || clawrun_run(spec_.get(), &outcome, &error) != 0) return internal::taken(error);
    return RunOutcome(outcome);
  }

 private:
  bool give_command(const std::vector<std::string>& command, clawrun_error** error) {
    std::vector<const char*> words;
    for (const std::string& word : command) words.push_back(word.c_str());
    return clawrun_spec_command(spec_.get(), words.size(), words.data(), error) == 0;
  }

  std::unique_ptr<clawrun_spec, internal::Free> spec_;
};

}  // namespace clawrun
