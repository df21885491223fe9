/* clawrun: sandboxes that are kept ready, so that a start costs microseconds. libclawrun(3)
 *
 * A pool keeps a number of sandboxes of one specification ready. Each serves one claim and dies; nothing is ever used twice.
 *
 *   parked  everything is built and confined; the command comes with the claim.
 *   primed  an interpreter runs inside, has run the pool's prime script, and waits for its input; the code comes with the claim.
 *
 * A pool has one thread of its own, with all signals blocked, which sleeps while nothing is to be done. Its sandboxes end with the
 * process, however that ends.
 *
 * Threads, failures and ownership are as in clawrun.h. A pool may be used by several threads at the same time.
 */
#ifndef CLAWRUN_POOL_H
#define CLAWRUN_POOL_H

#include <clawrun/clawrun.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clawrun_pool_options clawrun_pool_options;
typedef struct clawrun_pool clawrun_pool;
typedef struct clawrun_claim clawrun_claim;

/* What a pool has counted since it was opened, and what it has now. */
typedef struct clawrun_pool_stats {
  uint64_t size;     /* how many it is to keep */
  uint64_t ready;    /* how many are ready */
  uint64_t filling;  /* how many are being made */
  uint64_t hits;     /* claims that found one ready */
  uint64_t misses;   /* claims that found none and started one cold */
  uint64_t waited;   /* claims that found none and waited for one */
  uint64_t starved;  /* claims that waited in vain */
  uint64_t made;     /* sandboxes that were made ready */
  uint64_t died;     /* ready ones that ended by themselves */
  uint64_t failed;   /* ones that could not be made */
  uint64_t shrunk;   /* ready ones that were given up because memory was short */
  uint64_t refill_us_total; /* time from the start of making one until it was ready; of `made` of them */
  uint64_t refill_us_max;
} clawrun_pool_stats;

/* Options with their defaults; NULL when memory is out. */
CLAWRUN_API clawrun_pool_options *clawrun_pool_options_new(void);
CLAWRUN_API void clawrun_pool_options_free(clawrun_pool_options *options);

/* By name, with the value as text:
 *   size         1 to 10000; 4 where it is not set
 *   grade        "parked" (the default), "primed"
 *   interpreter  of a primed pool: "python3", "node", "sh", or the path of one of them inside
 *   prime        of a primed pool: code that the interpreter runs once, before the claim; it may import libraries
 *   when-empty   "cold" (the default): a claim that finds none ready starts one; "wait": it waits
 *   wait         how long it waits at most, such as "500ms"; 10s where it is not set
 *   workspace    "on": claims may bring a workspace, and are slower for it, with one or without
 *   shrink       "off": memory pressure of the host (PSI) does not make the pool smaller; "on" is the default */
CLAWRUN_API int clawrun_pool_options_set(clawrun_pool_options *options, const char *name, const char *value,
                                         clawrun_error **error);

/* Opens a pool of that specification and begins to fill it; what every sandbox of it would refuse is refused here. The pool is
 * independent of both arguments; NULL options are the defaults. */
CLAWRUN_API int clawrun_pool_open(const clawrun_spec *spec, const clawrun_pool_options *options, clawrun_pool **pool,
                                  clawrun_error **error);

/* Ends what is ready and waits for its end. Sandboxes that were claimed go on. */
CLAWRUN_API void clawrun_pool_close(clawrun_pool *pool);

/* Waits until `count` are ready, for at most that long, forever where it is negative. 1: they are; 0: not within that time. -1:
 * `count` is more than the pool keeps, or none can be made; the error says why. */
CLAWRUN_API int clawrun_pool_wait_ready(clawrun_pool *pool, uint64_t count, int64_t timeout_ms, clawrun_error **error);

/* From now on as many are kept; those that are too many end. */
CLAWRUN_API int clawrun_pool_resize(clawrun_pool *pool, uint64_t size, clawrun_error **error);

CLAWRUN_API void clawrun_pool_get_stats(clawrun_pool *pool, clawrun_pool_stats *stats);
/* The same as a JSON object, and in the text format of Prometheus with `name` as the label pool; freed with clawrun_string_free. */
CLAWRUN_API char *clawrun_pool_stats_json(clawrun_pool *pool);
CLAWRUN_API char *clawrun_pool_stats_prometheus(clawrun_pool *pool, const char *name);

/* ---- What a claim brings ---- */

CLAWRUN_API clawrun_claim *clawrun_claim_new(void);
CLAWRUN_API void clawrun_claim_free(clawrun_claim *claim);

/* Of a parked pool: the command and its arguments; the specification's where it is not called. */
CLAWRUN_API int clawrun_claim_command(clawrun_claim *claim, size_t argc, const char *const *argv, clawrun_error **error);

/* Of a primed pool: the code for the interpreter. */
CLAWRUN_API int clawrun_claim_code(clawrun_claim *claim, const void *code, size_t size, clawrun_error **error);

/* "NAME=VALUE", over the environment of the specification. */
CLAWRUN_API int clawrun_claim_env(clawrun_claim *claim, const char *variable, clawrun_error **error);

/* As clawrun_spec_file. */
CLAWRUN_API int clawrun_claim_file(clawrun_claim *claim, const char *path, const void *data, size_t size, unsigned mode,
                                   clawrun_error **error);

/* Settings of clawrun-profile(5) that a claim may change: timeout, grace and max-output freely where the specification has
 * none, and otherwise only to less; memory, pids and cpus to less; workspace, where the pool's option allows it. Any other is an
 * error that says that a cold start can do it. */
CLAWRUN_API int clawrun_claim_set(clawrun_claim *claim, const char *name, const char *value, clawrun_error **error);

/* Takes one that is ready and lets it go on with what the claim brings; NULL brings nothing. The handle is that of clawrun_spawn.
 * `streams` as there; in a primed pool standard output and error were made when the sandbox was, and must be CLAWRUN_PIPE or
 * CLAWRUN_CAPTURE, and standard input CLAWRUN_PIPE or CLAWRUN_NULL; NULL: pipes. On failure nothing is left of the sandbox. */
CLAWRUN_API int clawrun_pool_claim(clawrun_pool *pool, const clawrun_claim *claim, const clawrun_stream streams[3],
                                   clawrun_sandbox **sandbox, clawrun_error **error);

#ifdef __cplusplus
}
#endif

#endif
