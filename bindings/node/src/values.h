// Values between JavaScript and C: text, data, numbers, errors, and objects of ours.
#pragma once

#define NAPI_VERSION 8
#include <clawrun/clawrun.h>
#include <node_api.h>

#include <cstdint>
#include <memory>
#include <string>

namespace clawrun_node {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using Text = std::unique_ptr<char, Freed<clawrun_string_free>>;
// Shared with the threads that use them.
using Spec = std::shared_ptr<clawrun_spec>;

struct Failure {
  std::string message;
  int exit_code = 0;
  int error_number = 0;
};

// Takes the error over; nullptr stands for want of memory.
Failure failure_of(clawrun_error* error);

napi_value undefined(napi_env env);
napi_value text_value(napi_env env, const std::string& text);
napi_value number_value(napi_env env, double number);
napi_value error_value(napi_env env, const Failure& failure);

// Both leave an exception pending.
std::nullptr_t throw_failure(napi_env env, const Failure& failure);
std::nullptr_t throw_misuse(napi_env env, const char* message);

struct Args {
  napi_value at[5] = {};
  Args(napi_env env, napi_callback_info info);
};

// False: an exception is pending.
bool read_text(napi_env env, napi_value value, std::string& text);
bool read_data(napi_env env, napi_value value, std::string& data);
bool read_number(napi_env env, napi_value value, std::int64_t& number);

std::uint32_t array_length(napi_env env, napi_value array);
napi_value element(napi_env env, napi_value array, std::uint32_t index);

// ---- Objects of ours: tagged, so that no other object can stand for one ----

struct Sandbox;
struct Pool;

template <typename T>
struct Tag;
template <>
struct Tag<Spec> {
  static constexpr napi_type_tag kTag = {0x636c617772756e31, 0x73706563};
};
template <>
struct Tag<Sandbox> {
  static constexpr napi_type_tag kTag = {0x636c617772756e31, 0x73616e64};
};
template <>
struct Tag<Pool> {
  static constexpr napi_type_tag kTag = {0x636c617772756e31, 0x706f6f6c};
};

template <typename T>
napi_value wrapped(napi_env env, T* object, napi_finalize finalize) {
  napi_value value = nullptr;
  if (napi_create_object(env, &value) != napi_ok || napi_wrap(env, value, object, finalize, nullptr, nullptr) != napi_ok) {
    finalize(env, object, nullptr);
    return nullptr;
  }
  napi_type_tag_object(env, value, &Tag<T>::kTag);
  return value;
}

template <typename T>
T* unwrapped(napi_env env, napi_value value) {
  bool is_ours = false;
  void* object = nullptr;
  if (napi_check_object_type_tag(env, value, &Tag<T>::kTag, &is_ours) != napi_ok || !is_ours ||
      napi_unwrap(env, value, &object) != napi_ok)
    return throw_misuse(env, "clawrun: not a handle of this kind");
  return static_cast<T*>(object);
}

struct Function {
  const char* name;
  napi_callback call;
};

template <std::size_t N>
void add_functions(napi_env env, napi_value exports, const Function (&functions)[N]) {
  for (const Function& function : functions) {
    napi_value value = nullptr;
    napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.call, nullptr, &value);
    napi_set_named_property(env, exports, function.name, value);
  }
}

}  // namespace clawrun_node
