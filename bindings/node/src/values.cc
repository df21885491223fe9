#include "values.h"

#include <cerrno>

namespace clawrun_node {

// Takes the error over; nullptr stands for want of memory.
Failure failure_of(clawrun_error* error) {
  if (error == nullptr) return {"out of memory", 125, ENOMEM};
  Failure failure{clawrun_error_message(error), clawrun_error_exit_code(error), clawrun_error_errno(error)};
  clawrun_error_free(error);
  return failure;
}

napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value text_value(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

napi_value number_value(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

napi_value error_value(napi_env env, const Failure& failure) {
  napi_value error = nullptr;
  napi_create_error(env, nullptr, text_value(env, failure.message), &error);
  if (error == nullptr) return nullptr;
  napi_set_named_property(env, error, "exitCode", number_value(env, failure.exit_code));
  napi_set_named_property(env, error, "errno", number_value(env, failure.error_number));
  return error;
}

std::nullptr_t throw_failure(napi_env env, const Failure& failure) {
  napi_throw(env, error_value(env, failure));
  return nullptr;
}

std::nullptr_t throw_misuse(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return nullptr;
}

Args::Args(napi_env env, napi_callback_info info) {
  std::size_t count = 5;
  napi_get_cb_info(env, info, &count, at, nullptr, nullptr);
}

bool read_text(napi_env env, napi_value value, std::string& text) {
  std::size_t size = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &size) != napi_ok) {
    throw_misuse(env, "clawrun: a string is expected");
    return false;
  }
  text.resize(size);
  napi_get_value_string_utf8(env, value, text.data(), size + 1, &size);
  // The library takes NUL-terminated text: the rest would be lost in silence.
  if (text.find('\0') == std::string::npos) return true;
  throw_misuse(env, "clawrun: a NUL byte is not allowed in text");
  return false;
}

bool read_data(napi_env env, napi_value value, std::string& data) {
  void* bytes = nullptr;
  std::size_t size = 0;
  if (napi_get_buffer_info(env, value, &bytes, &size) != napi_ok) {
    throw_misuse(env, "clawrun: a Buffer is expected");
    return false;
  }
  data.assign(static_cast<const char*>(bytes), size);
  return true;
}

bool read_number(napi_env env, napi_value value, std::int64_t& number) {
  if (napi_get_value_int64(env, value, &number) == napi_ok) return true;
  throw_misuse(env, "clawrun: a number is expected");
  return false;
}

std::uint32_t array_length(napi_env env, napi_value array) {
  std::uint32_t length = 0;
  napi_get_array_length(env, array, &length);
  return length;
}

napi_value element(napi_env env, napi_value array, std::uint32_t index) {
  napi_value value = nullptr;
  napi_get_element(env, array, index, &value);
  return value;
}

}  // namespace clawrun_node
