// What the C ABI promises, one TAP line each.
#include <clawrun/clawrun.h>

#include <cstdio>
#include <cstring>

namespace {

int number = 0;
int failed = 0;

void check(bool good, const char* what) {
  std::printf("%sok %d - %s\n", good ? "" : "not ", ++number, what);
  if (!good) ++failed;
}

void errors() {
  clawrun_spec* spec = clawrun_spec_new();
  clawrun_error* error = nullptr;
  check(clawrun_spec_set(spec, "timeuot", "1s", &error) == -1 && std::strstr(clawrun_error_message(error), "timeout") != nullptr,
        "an unknown setting names the nearest");
  check(clawrun_error_exit_code(error) == 125, "its exit code is that of a failed set-up");
  clawrun_error_free(error);
  check(clawrun_spec_set(nullptr, "timeout", "1s", nullptr) == -1, "NULL is refused, and an error need not be wanted");
  error = nullptr;
  clawrun_outcome* outcome = nullptr;
  check(clawrun_run(spec, &outcome, &error) == -1 && outcome == nullptr && error != nullptr, "no command is an error");
  clawrun_error_free(error);
  const char* const missing[] = {"no-such-command"};
  error = nullptr;
  check(clawrun_spec_command(spec, 1, missing, &error) == 0 && clawrun_run(spec, &outcome, &error) == -1 &&
            clawrun_error_exit_code(error) == 127,
        "a command that is not found is an error with code 127");
  clawrun_error_free(error);
  clawrun_error_free(nullptr);
  clawrun_spec_free(spec);
  clawrun_spec_free(nullptr);
}

void running() {
  clawrun_spec* spec = clawrun_spec_new();
  const char* const command[] = {"/bin/sh", "-c", "kill -USR1 $$"};
  clawrun_error* error = nullptr;
  clawrun_outcome* outcome = nullptr;
  clawrun_spec_command(spec, 3, command, nullptr);
  char* plan = clawrun_spec_plan(spec, &error);
  check(plan != nullptr && std::strstr(plan, "\"argv\"") != nullptr, "the plan is JSON text");
  clawrun_string_free(plan);
  check(clawrun_run(spec, &outcome, &error) == 0, "a sandbox runs");
  check(outcome != nullptr && clawrun_outcome_status(outcome) == CLAWRUN_SIGNALED && clawrun_outcome_signal(outcome) == 10,
        "its signal is reported");
  check(outcome != nullptr && clawrun_outcome_exit_code(outcome) == 138, "and its exit code");
  check(outcome != nullptr && std::strstr(clawrun_outcome_json(outcome), "\"stages_us\"") != nullptr, "and its report");
  clawrun_outcome_free(outcome);
  clawrun_spec_free(spec);
}

}  // namespace

int main() {
  check(std::strcmp(clawrun_version(), CLAWRUN_VERSION) == 0, "the version is the project's");
  errors();
  running();
  std::printf("1..%d\n", number);
  return failed == 0 ? 0 : 1;
}
