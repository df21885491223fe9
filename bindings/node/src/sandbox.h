// A sandbox on the event loop, from its start until nobody needs it.
#pragma once

#include "work.h"

namespace clawrun_node {

// Lives until JavaScript has let go of it, its poll is closed and no thread works on it: counted in `uses`.
struct Sandbox {
  SharedContext context;
  clawrun_sandbox* handle = nullptr;
  uv_poll_t poll = {};
  napi_deferred exited = nullptr;
  int streams[3] = {-1, -1, -1};
  bool has_ended = false;
  bool is_busy = false;     // a thread works on its files
  bool is_dropped = false;  // to be released as soon as it has ended and is not busy
  int uses = 0;
};

// {handle, exited} of what a thread has started: the object of ours, and the promise of its outcome.
napi_value adopt(Work& work);

// Nobody wants it any more: it dies, and the loop goes on until it is gone.
void drop(Sandbox* sandbox);

// Frees everything but the memory; what still runs is killed and waited for.
void release(Sandbox* sandbox);

void maybe_finish_cleanup(Context& context);

// Work on its files: it is not polled meanwhile.
napi_value queue_file_work(napi_env env, Sandbox* sandbox, std::function<void(Work&)> run,
                           std::function<napi_value(Work&)> finish);

struct Streams {
  clawrun_stream at[3] = {};
};
// [MODE, FD] of each. False: an exception is pending.
bool read_streams(napi_env env, napi_value array, Streams& streams);

void add_sandbox_calls(napi_env env, napi_value exports);

}  // namespace clawrun_node
