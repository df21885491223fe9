/* clawrun: sandboxes from kernel primitives, for programs that run code which nobody should trust. libclawrun(3)
 *
 * Handles are opaque; what a sandbox can be told are the settings of clawrun-profile(5), by the same names.
 *
 * Threads: every function may be called from any thread, and different handles at the same time. One handle must not be used
 * by two threads at the same time; clawrun_sandbox_kill alone may be called beside any other function of its handle but
 * clawrun_sandbox_free.
 *
 * The host process: no function prints, installs a signal handler, changes a locale or a signal disposition, waits for a child
 * that is not its own, or throws. SIGCHLD may be ignored, handled or blocked, and the host may wait for any of its children. A
 * sandbox's first process is a child of the calling process; what a host that reaps it first loses is, without a cgroup, its
 * use of processor and memory, and with the setting no-init its exit status. A sandbox ends with the process that started it; with
 * no-init already with the thread.
 * The environment is read when a sandbox is started: for variables that the setting env passes on, HOME and XDG_DATA_HOME.
 *
 * Failure: a function that returns int returns -1, one that returns a pointer NULL, and *error is set where error is not NULL.
 * A NULL *error then means that memory was out. *error is not touched on success. Errors are freed with clawrun_error_free.
 *
 * Paths, names and text are NUL-terminated and copied. A handle argument must be valid; every _free takes NULL too.
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
typedef struct clawrun_sandbox clawrun_sandbox; /* one that runs, or has ended */
typedef struct clawrun_outcome clawrun_outcome; /* how it ended */
typedef struct clawrun_error clawrun_error;     /* why something failed */

/* The status of an outcome. */
enum {
  CLAWRUN_EXITED = 0,   /* the command exited: clawrun_outcome_exit_code */
  CLAWRUN_SIGNALED = 1, /* a signal ended it: clawrun_outcome_signal */
  CLAWRUN_TIMEOUT = 2,  /* the setting "timeout" ended it */
  CLAWRUN_OOM = 3       /* the kernel ended it for want of memory */
};

/* What a standard stream of the command is. */
enum {
  CLAWRUN_INHERIT = 0, /* the calling process's own; a terminal is copied by clawrun_sandbox_process, never passed on */
  CLAWRUN_NULL = 1,    /* /dev/null */
  CLAWRUN_PIPE = 2,    /* a pipe; the other end is clawrun_sandbox_stream, non-blocking */
  CLAWRUN_CAPTURE = 3, /* output only: kept in memory by clawrun_sandbox_process, read with clawrun_sandbox_output */
  CLAWRUN_FD = 4       /* a descriptor of the caller, which stays the caller's; no directory */
};

typedef struct clawrun_stream {
  int mode; /* CLAWRUN_INHERIT ... CLAWRUN_FD */
  int fd;   /* for CLAWRUN_FD */
} clawrun_stream;

/* "0.1.0". Static; not to be freed. */
CLAWRUN_API const char *clawrun_version(void);

/* Text and data that a function returned for the caller to free. */
CLAWRUN_API void clawrun_string_free(char *text);
CLAWRUN_API void clawrun_data_free(void *data);

/* ---- What a sandbox is to be ---- */

/* A specification with the built-in defaults and no command; NULL when memory is out. It can serve any number of sandboxes. */
CLAWRUN_API clawrun_spec *clawrun_spec_new(void);
CLAWRUN_API clawrun_spec *clawrun_spec_copy(const clawrun_spec *spec);
CLAWRUN_API void clawrun_spec_free(clawrun_spec *spec);

/* Sets one setting by its name in clawrun-profile(5), with the value as on the command line ("64m", "30s"; "on" or "off" for
 * a switch). Settings that are lists grow with each call. On failure the specification is as it was. */
CLAWRUN_API int clawrun_spec_set(clawrun_spec *spec, const char *name, const char *value, clawrun_error **error);

/* Applies a profile, by name or file, over what is set so far. */
CLAWRUN_API int clawrun_spec_profile(clawrun_spec *spec, const char *name_or_file, clawrun_error **error);

/* Applies a JSON object over what is set so far: the keys of clawrun-profile(5), and "command", an array of strings. On
 * failure the specification is as it was. */
CLAWRUN_API int clawrun_spec_json(clawrun_spec *spec, const char *text, clawrun_error **error);

/* The command and its arguments. */
CLAWRUN_API int clawrun_spec_command(clawrun_spec *spec, size_t argc, const char *const *argv, clawrun_error **error);

/* A file that is in the work directory when the command starts, with its directories: `path` is relative to it, without "." and
 * ".." parts; `mode` are permission bits such as 0644. The work directory must be on one of the sandbox's own file systems:
 * into a directory of the host, the setting workspace, the caller writes by itself. At most 64 MiB in all. */
CLAWRUN_API int clawrun_spec_file(clawrun_spec *spec, const char *path, const void *data, size_t size, unsigned mode,
                                  clawrun_error **error);

/* Every problem of the specification at once: a JSON array of {"setting", "message"}, empty where there is none; freed with
 * clawrun_string_free. What only this host may refuse is found by clawrun_spec_plan and clawrun_spawn. */
CLAWRUN_API char *clawrun_spec_validate(const clawrun_spec *spec, clawrun_error **error);

/* The plan as JSON: exactly what clawrun_spawn would do now; freed with clawrun_string_free. The error of a specification that
 * is wrong has a line for each of its problems. */
CLAWRUN_API char *clawrun_spec_plan(const clawrun_spec *spec, clawrun_error **error);

/* ---- A sandbox that runs ---- */

/* Starts the command and returns when it has been executed, a few milliseconds later, whatever size the calling process has. On
 * failure nothing is left of it. `streams` are standard input, output and error; NULL: all are inherited. With the setting
 * tty all must be inherited. The handle is independent of the specification and freed with clawrun_sandbox_free. */
CLAWRUN_API int clawrun_spawn(const clawrun_spec *spec, const clawrun_stream streams[3], clawrun_sandbox **sandbox,
                              clawrun_error **error);

/* For an event loop: readable when clawrun_sandbox_process has something to do. epoll, poll and select take it; it belongs to
 * the handle. */
CLAWRUN_API int clawrun_sandbox_fd(const clawrun_sandbox *sandbox);

/* Does what is to be done now, and never waits: enforces the setting timeout, captures and copies streams, and notices the
 * end. 1: the sandbox has ended, and all of its processes with it; 0: not yet. A host that does not call it for a while loses
 * nothing, but its command may come to wait for room in a pipe, and is killed half a second after timeout and grace. */
CLAWRUN_API int clawrun_sandbox_process(clawrun_sandbox *sandbox, clawrun_error **error);

/* Waits for the end for at most that long, forever where it is negative, processing meanwhile. 1: ended; 0: not within that
 * time, and the sandbox goes on. */
CLAWRUN_API int clawrun_sandbox_wait(clawrun_sandbox *sandbox, int64_t timeout_ms, clawrun_error **error);

/* SIGKILL ends all of the sandbox. TERM, INT, HUP, QUIT, USR1, USR2 and WINCH go to the command; others are an error. Nothing
 * happens where it has ended already. The end itself is noticed by clawrun_sandbox_process. */
CLAWRUN_API int clawrun_sandbox_kill(clawrun_sandbox *sandbox, int signal, clawrun_error **error);

/* Belongs to the handle. NULL: it has not ended, as far as clawrun_sandbox_process has noticed. */
CLAWRUN_API const clawrun_outcome *clawrun_sandbox_outcome(const clawrun_sandbox *sandbox);

/* Its name for `clawrun list`. Lives as long as the handle. */
CLAWRUN_API const char *clawrun_sandbox_id(const clawrun_sandbox *sandbox);

/* The first process inside, for waiting only: it belongs to the handle, and is readable when the sandbox's processes have
 * ended. -1: the end has been noticed. */
CLAWRUN_API int clawrun_sandbox_pidfd(const clawrun_sandbox *sandbox);

/* The host's end of stream 0, 1 or 2 that is a CLAWRUN_PIPE: non-blocking, close-on-exec. It belongs to the handle; -1 where
 * there is none. */
CLAWRUN_API int clawrun_sandbox_stream(const clawrun_sandbox *sandbox, int stream);
/* The same, and from now on it is the caller's, who closes it: closing stream 0 is the end of the command's input. It is valid
 * after the end, and after clawrun_sandbox_free. */
CLAWRUN_API int clawrun_sandbox_take_stream(clawrun_sandbox *sandbox, int stream);

/* What has been captured of stream 1 or 2 so far. Valid until the next call of clawrun_sandbox_process, _wait or _free. Not
 * NUL-terminated; NULL and 0 where the stream is not captured. At most the setting max-output, 16 MiB where it is not set, is
 * kept of each stream; the rest is read and thrown away. */
CLAWRUN_API const void *clawrun_sandbox_output(const clawrun_sandbox *sandbox, int stream, size_t *size);
/* How many bytes of a captured or limited stream were thrown away so far: not 0 is a truncated output. */
CLAWRUN_API uint64_t clawrun_sandbox_output_lost(const clawrun_sandbox *sandbox, int stream);

/* Kills what still runs, waits until it is gone, and closes everything that was not taken. */
CLAWRUN_API void clawrun_sandbox_free(clawrun_sandbox *sandbox);

/* ---- Files in the work directory, before the command has ended and after it ----
 *
 * The directory where the command starts: /workspace, or the setting workdir. After the end its files are there until
 * clawrun_sandbox_free. `path` is relative to it, without "." and ".." parts; "" is the directory itself for clawrun_list. No
 * symbolic link, mount point, device or FIFO is followed or opened, whatever the sandbox changes meanwhile: each is an error
 * that says so. Everything is done with the rights of the sandbox's user. */

/* A new file, or a replaced one, that appears whole or not at all; missing directories are made with mode 0755. */
CLAWRUN_API int clawrun_put_file(clawrun_sandbox *sandbox, const char *path, const void *data, size_t size, unsigned mode,
                                 clawrun_error **error);

/* The whole of a regular file; one that is larger than max_bytes, or grows beyond it meanwhile, is an error (errno EFBIG). *data
 * is freed with clawrun_data_free; it is followed by a NUL byte that *size does not count. */
CLAWRUN_API int clawrun_get_file(clawrun_sandbox *sandbox, const char *path, size_t max_bytes, void **data, size_t *size,
                                 clawrun_error **error);

/* The entries of one directory, without "." and "..", sorted by name: a JSON array of {"name", "type", "size", "mode",
 * "mtime_ms"}, freed with clawrun_string_free. type is "file", "directory", "symlink" or "other". More than 65536 entries are
 * an error. Bytes of a name that are not UTF-8 are replaced by U+FFFD. */
CLAWRUN_API char *clawrun_list(clawrun_sandbox *sandbox, const char *path, clawrun_error **error);

/* ---- Starting and waiting in one ---- */

/* clawrun_spawn with all streams inherited, and clawrun_sandbox_wait. *outcome is the caller's, freed with
 * clawrun_outcome_free. */
CLAWRUN_API int clawrun_run(const clawrun_spec *spec, clawrun_outcome **outcome, clawrun_error **error);

/* ---- How it ended; what is returned lives as long as the outcome ---- */

CLAWRUN_API int clawrun_outcome_status(const clawrun_outcome *outcome);
/* What `clawrun exec` would have returned: the command's code, 128+N for signal N, 124 for a timeout. */
CLAWRUN_API int clawrun_outcome_exit_code(const clawrun_outcome *outcome);
CLAWRUN_API int clawrun_outcome_signal(const clawrun_outcome *outcome); /* 0: none */
/* A sentence where the status alone does not say it all; "" otherwise. */
CLAWRUN_API const char *clawrun_outcome_reason(const clawrun_outcome *outcome);
CLAWRUN_API uint64_t clawrun_outcome_wall_us(const clawrun_outcome *outcome);
CLAWRUN_API uint64_t clawrun_outcome_cpu_us(const clawrun_outcome *outcome); /* user and system */
CLAWRUN_API uint64_t clawrun_outcome_memory_peak_bytes(const clawrun_outcome *outcome);
/* The object of --report (clawrun-exec(1)), with everything that was measured. */
CLAWRUN_API const char *clawrun_outcome_json(const clawrun_outcome *outcome);
/* Only for what clawrun_run gave. */
CLAWRUN_API void clawrun_outcome_free(clawrun_outcome *outcome);

/* ---- Why something failed; NULL stands for want of memory ---- */

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
