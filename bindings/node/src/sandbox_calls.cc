// What lib/ calls on specifications and sandboxes.
#include <csignal>
#include <utility>

#include "sandbox.h"
#include "steps.h"

namespace clawrun_node {

namespace {

// A handle that is there, and that no thread works on.
Sandbox* usable(napi_env env, napi_value value) {
  auto* sandbox = unwrapped<Sandbox>(env, value);
  if (sandbox == nullptr) return nullptr;
  if (sandbox->handle == nullptr) return throw_failure(env, {"the sandbox has been closed", 125, EBADF});
  if (sandbox->is_busy) return throw_failure(env, {"the sandbox's files are being worked on", 125, EBUSY});
  return sandbox;
}

napi_value version(napi_env env, napi_callback_info) {
  return text_value(env, clawrun_version());
}

// (base or null, steps): never changed afterwards, so that threads may share it
napi_value make_spec(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  napi_valuetype type = napi_null;
  napi_typeof(env, args.at[0], &type);
  const Spec* base = nullptr;
  if (type == napi_object && (base = unwrapped<Spec>(env, args.at[0])) == nullptr) return nullptr;
  Spec spec(base == nullptr ? clawrun_spec_new() : clawrun_spec_copy(base->get()), &clawrun_spec_free);
  if (spec == nullptr) return throw_failure(env, failure_of(nullptr));
  if (!take_steps(env, args.at[1], spec.get())) return nullptr;
  return wrapped(env, new Spec(std::move(spec)), [](napi_env, void* data, void*) { delete static_cast<Spec*>(data); });
}

template <char* (*Function)(const clawrun_spec*, clawrun_error**)>
napi_value spec_text(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const Spec* spec = unwrapped<Spec>(env, args.at[0]);
  if (spec == nullptr) return nullptr;
  clawrun_error* error = nullptr;
  const Text text(Function(spec->get(), &error));
  if (text == nullptr) return throw_failure(env, failure_of(error));
  return text_value(env, text.get());
}

// (spec, streams)
napi_value spawn(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const Spec* spec = unwrapped<Spec>(env, args.at[0]);
  Streams streams;
  if (spec == nullptr || !read_streams(env, args.at[1], streams)) return nullptr;
  return queue_work(
      env,
      [spec = *spec, streams](Work& work) {
        clawrun_error* error = nullptr;
        const int result = clawrun_spawn(spec.get(), streams.at, &work.started, &error);
        work.check(result, error);
      },
      &adopt);
}

napi_value sandbox_id(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const Sandbox* sandbox = usable(env, args.at[0]);
  return sandbox == nullptr ? nullptr : text_value(env, clawrun_sandbox_id(sandbox->handle));
}

// (handle, stream): the descriptor, which is the caller's from now on; -1 where there is none any more.
napi_value take_stream(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  auto* sandbox = unwrapped<Sandbox>(env, args.at[0]);
  std::int64_t stream = 0;
  if (sandbox == nullptr || !read_number(env, args.at[1], stream)) return nullptr;
  if (stream < 0 || stream > 2) return throw_misuse(env, "clawrun: streams are 0, 1 and 2");
  return number_value(env, std::exchange(sandbox->streams[stream], -1));
}

// (handle, signal)
napi_value kill_sandbox(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const auto* sandbox = unwrapped<Sandbox>(env, args.at[0]);
  std::int64_t signal = 0;
  if (sandbox == nullptr || !read_number(env, args.at[1], signal)) return nullptr;
  clawrun_error* error = nullptr;
  if (sandbox->handle != nullptr && clawrun_sandbox_kill(sandbox->handle, static_cast<int>(signal), &error) < 0)
    return throw_failure(env, failure_of(error));
  return undefined(env);
}

// (handle, stream): what was captured, as a Buffer of its own
napi_value output(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const Sandbox* sandbox = usable(env, args.at[0]);
  std::int64_t stream = 0;
  if (sandbox == nullptr || !read_number(env, args.at[1], stream)) return nullptr;
  std::size_t size = 0;
  const void* data = clawrun_sandbox_output(sandbox->handle, static_cast<int>(stream), &size);
  napi_value buffer = nullptr;
  napi_create_buffer_copy(env, size, data, nullptr, &buffer);
  return buffer;
}

napi_value output_lost(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  const Sandbox* sandbox = usable(env, args.at[0]);
  std::int64_t stream = 0;
  if (sandbox == nullptr || !read_number(env, args.at[1], stream)) return nullptr;
  return number_value(env, static_cast<double>(clawrun_sandbox_output_lost(sandbox->handle, static_cast<int>(stream))));
}

// (handle, path, data, mode)
napi_value put_file(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  Sandbox* sandbox = usable(env, args.at[0]);
  std::string path;
  std::string data;
  std::int64_t mode = 0;
  if (sandbox == nullptr || !read_text(env, args.at[1], path) || !read_data(env, args.at[2], data) ||
      !read_number(env, args.at[3], mode))
    return nullptr;
  return queue_file_work(
      env, sandbox,
      [=](Work& work) {
        clawrun_error* error = nullptr;
        const int result =
            clawrun_put_file(sandbox->handle, path.c_str(), data.data(), data.size(), static_cast<unsigned>(mode), &error);
        work.check(result, error);
      },
      [](Work& work) { return undefined(work.context->env); });
}

// (handle, path, max bytes)
napi_value get_file(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  Sandbox* sandbox = usable(env, args.at[0]);
  std::string path;
  std::int64_t max_bytes = 0;
  if (sandbox == nullptr || !read_text(env, args.at[1], path) || !read_number(env, args.at[2], max_bytes)) return nullptr;
  struct Content {
    void* data = nullptr;
    std::size_t size = 0;
    ~Content() { clawrun_data_free(data); }
  };
  const auto content = std::make_shared<Content>();
  return queue_file_work(
      env, sandbox,
      [=](Work& work) {
        clawrun_error* error = nullptr;
        const int result = clawrun_get_file(sandbox->handle, path.c_str(), static_cast<std::size_t>(max_bytes), &content->data,
                                            &content->size, &error);
        work.check(result, error);
      },
      [content](Work& work) {
        napi_value buffer = nullptr;
        if (!work.has_failed) napi_create_buffer_copy(work.context->env, content->size, content->data, nullptr, &buffer);
        return buffer;
      });
}

// (handle, path): JSON
napi_value list_files(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  Sandbox* sandbox = usable(env, args.at[0]);
  std::string path;
  if (sandbox == nullptr || !read_text(env, args.at[1], path)) return nullptr;
  const auto list = std::make_shared<Text>();
  return queue_file_work(
      env, sandbox,
      [=](Work& work) {
        clawrun_error* error = nullptr;
        list->reset(clawrun_list(sandbox->handle, path.c_str(), &error));
        work.check(*list == nullptr ? -1 : 0, error);
      },
      [list](Work& work) { return work.has_failed ? nullptr : text_value(work.context->env, list->get()); });
}

// (handle): it dies where it still runs, and is freed as soon as it can be
napi_value close_sandbox(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  auto* sandbox = unwrapped<Sandbox>(env, args.at[0]);
  if (sandbox == nullptr) return nullptr;
  drop(sandbox);
  return undefined(env);
}

template <void (*Function)(uv_handle_t*)>
napi_value hold_loop(napi_env env, napi_callback_info info) {
  const Args args(env, info);
  auto* sandbox = unwrapped<Sandbox>(env, args.at[0]);
  if (sandbox == nullptr) return nullptr;
  if (sandbox->handle != nullptr) Function(reinterpret_cast<uv_handle_t*>(&sandbox->poll));
  return undefined(env);
}

constexpr Function kFunctions[] = {
    {"version", &version},
    {"makeSpec", &make_spec},
    {"validate", &spec_text<&clawrun_spec_validate>},
    {"plan", &spec_text<&clawrun_spec_plan>},
    {"spawn", &spawn},
    {"id", &sandbox_id},
    {"takeStream", &take_stream},
    {"kill", &kill_sandbox},
    {"output", &output},
    {"outputLost", &output_lost},
    {"putFile", &put_file},
    {"getFile", &get_file},
    {"list", &list_files},
    {"close", &close_sandbox},
    {"ref", &hold_loop<&uv_ref>},
    {"unref", &hold_loop<&uv_unref>},
};

}  // namespace

void add_sandbox_calls(napi_env env, napi_value exports) {
  add_functions(env, exports, kFunctions);
}

}  // namespace clawrun_node
