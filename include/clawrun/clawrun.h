/* clawrun: sandboxes from kernel primitives, for programs that run code which nobody should trust.
 *
 * Opaque handles and setters; what can be set are the settings of clawrun-profile(5), by the same names. Every function may
 * be called from any thread; one handle must not be used by two threads at the same time. No function prints, installs a
 * signal handler, changes a locale, or throws. A process that calls clawrun_run must not ignore SIGCHLD, nor wait for
 * children that are not its own with wait(2): the sandbox's first process is a child of the calling process.
 * The sandbox ends with the process that started it, however that ends.
 */
#ifndef CLAWRUN_CLAWRUN_H
#define CLAWRUN_CLAWRUN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLAWRUN_API __attribute__((visibility("default")))

typedef struct clawrun_spec clawrun_spec;       /* what a sandbox is to be */
typedef struct clawrun_outcome clawrun_outcome; /* how it ended */
typedef struct clawrun_error clawrun_error;     /* why something failed */

/* The status of an outcome. */
enum {
  CLAWRUN_EXITED = 0,   /* the command exited: clawrun_outcome_exit_code */
  CLAWRUN_SIGNALED = 1, /* a signal ended it: clawrun_outcome_signal */
  CLAWRUN_TIMEOUT = 2,  /* the setting "timeout" ended it */
  CLAWRUN_OOM = 3       /* the kernel ended it for want of memory */
};

/* "0.1.0". Static; not to be freed. */
CLAWRUN_API const char *clawrun_version(void);

/* A specification with the built-in defaults and no command; NULL when memory is out. Free it with clawrun_spec_free,
 * which takes NULL too. */
CLAWRUN_API clawrun_spec *clawrun_spec_new(void);
CLAWRUN_API void clawrun_spec_free(clawrun_spec *spec);

/* Sets one setting by its name in clawrun-profile(5), with the value as on the command line ("64m", "30s"; "on" or "off" for
 * a switch). Settings that are lists grow with each call. 0, or -1 with *error set (where error is not NULL). */
CLAWRUN_API int clawrun_spec_set(clawrun_spec *spec, const char *name, const char *value, clawrun_error **error);

/* Applies a profile, by name or file, over what is set so far. 0, or -1 with *error set. */
CLAWRUN_API int clawrun_spec_profile(clawrun_spec *spec, const char *name_or_file, clawrun_error **error);

/* The command and its arguments, copied. 0, or -1 with *error set. */
CLAWRUN_API int clawrun_spec_command(clawrun_spec *spec, size_t argc, const char *const *argv, clawrun_error **error);

/* Wherever a call fails and *error is NULL afterwards, memory was out.
 *
 * The plan as JSON: exactly what clawrun_run would do now. Free it with clawrun_string_free. NULL with *error set when the
 * specification is wrong (all of its problems, a line each) or this host cannot give it. */
CLAWRUN_API char *clawrun_spec_plan(const clawrun_spec *spec, clawrun_error **error);
CLAWRUN_API void clawrun_string_free(char *text);

/* Runs the command and waits for its end, and for the end of everything it started. Its standard streams are those of the
 * calling process. 0 with *outcome set; -1 with *error set when it could not be started, and then nothing is left of it. */
CLAWRUN_API int clawrun_run(const clawrun_spec *spec, clawrun_outcome **outcome, clawrun_error **error);

CLAWRUN_API int clawrun_outcome_status(const clawrun_outcome *outcome);
/* What `clawrun exec` would have returned: the command's code, 128+N for signal N, 124 for a timeout. */
CLAWRUN_API int clawrun_outcome_exit_code(const clawrun_outcome *outcome);
CLAWRUN_API int clawrun_outcome_signal(const clawrun_outcome *outcome); /* 0: none */
CLAWRUN_API uint64_t clawrun_outcome_wall_us(const clawrun_outcome *outcome);
/* The object of --report (clawrun-exec(1)). Lives as long as the outcome. */
CLAWRUN_API const char *clawrun_outcome_json(const clawrun_outcome *outcome);
CLAWRUN_API void clawrun_outcome_free(clawrun_outcome *outcome);

/* What failed, where, and what is allowed instead. Lives as long as the error. */
CLAWRUN_API const char *clawrun_error_message(const clawrun_error *error);
/* What `clawrun exec` would have returned: 125, 126 or 127. */
CLAWRUN_API int clawrun_error_exit_code(const clawrun_error *error);
/* errno of the system call that failed, or 0. */
CLAWRUN_API int clawrun_error_errno(const clawrun_error *error);
CLAWRUN_API void clawrun_error_free(clawrun_error *error);

#ifdef __cplusplus
}
#endif

#endif
