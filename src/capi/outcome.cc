// clawrun_outcome and clawrun_error: plain answers.

#include <cerrno>

#include "capi/handles.h"
#include "report/report.h"
#include "tables/exit_codes.h"

extern "C" {

int clawrun_outcome_status(const clawrun_outcome* outcome) {
  return static_cast<int>(outcome->outcome.status);
}
int clawrun_outcome_exit_code(const clawrun_outcome* outcome) {
  return clawrun::report::exit_code(outcome->outcome);
}
int clawrun_outcome_signal(const clawrun_outcome* outcome) {
  return outcome->outcome.signal;
}
const char* clawrun_outcome_reason(const clawrun_outcome* outcome) {
  return outcome->outcome.reason.c_str();
}
uint64_t clawrun_outcome_wall_us(const clawrun_outcome* outcome) {
  return outcome->outcome.wall_us;
}
uint64_t clawrun_outcome_cpu_us(const clawrun_outcome* outcome) {
  return outcome->outcome.cpu_user_us + outcome->outcome.cpu_system_us;
}
uint64_t clawrun_outcome_memory_peak_bytes(const clawrun_outcome* outcome) {
  return outcome->outcome.memory_peak_bytes;
}
const char* clawrun_outcome_json(const clawrun_outcome* outcome) {
  return outcome->json.c_str();
}
void clawrun_outcome_free(clawrun_outcome* outcome) {
  delete outcome;
}

const char* clawrun_error_message(const clawrun_error* error) {
  return error == nullptr ? "out of memory" : error->error.message.c_str();
}
int clawrun_error_exit_code(const clawrun_error* error) {
  return error == nullptr ? clawrun::tables::kExitSetup : clawrun::tables::exec_exit_code(error->error.kind);
}
int clawrun_error_errno(const clawrun_error* error) {
  return error == nullptr ? ENOMEM : error->error.errno_value;
}
void clawrun_error_free(clawrun_error* error) {
  delete error;
}
}
