#include "steps.h"

#include <vector>

namespace clawrun_node {

namespace {

struct Step {
  std::string kind;
  std::vector<std::string> words;  // all of one kind of step; of a file: path and content
  unsigned mode = 0;
};

bool read_step(napi_env env, napi_value array, Step& step) {
  if (!read_text(env, element(env, array, 0), step.kind)) return false;
  const bool is_file = step.kind == "file";
  const std::uint32_t length = is_file ? 3 : array_length(env, array);
  for (std::uint32_t i = 1; i < length; ++i) {
    step.words.emplace_back();
    const napi_value value = element(env, array, i);
    bool is_buffer = false;
    napi_is_buffer(env, value, &is_buffer);
    if (!(is_buffer ? read_data(env, value, step.words.back()) : read_text(env, value, step.words.back()))) return false;
  }
  std::int64_t mode = 0;
  if (is_file && !read_number(env, element(env, array, 3), mode)) return false;
  step.mode = static_cast<unsigned>(mode);
  return true;
}

bool read_steps(napi_env env, napi_value array, std::vector<Step>& steps) {
  bool is_array = false;
  napi_is_array(env, array, &is_array);
  if (!is_array) {
    throw_misuse(env, "clawrun: an array of steps is expected");
    return false;
  }
  steps.resize(array_length(env, array));
  for (std::uint32_t i = 0; i < steps.size(); ++i)
    if (!read_step(env, element(env, array, i), steps[i])) return false;
  return true;
}

std::vector<const char*> pointers(const std::vector<std::string>& words) {
  std::vector<const char*> list;
  for (const std::string& word : words) list.push_back(word.c_str());
  return list;
}

template <typename Handle>
struct StepKind {
  const char* kind;
  std::size_t least_words;
  int (*take)(Handle* handle, const Step& step, clawrun_error** error);
};

constexpr StepKind<clawrun_spec> kSpecSteps[] = {
    {"set", 2,
     [](clawrun_spec* spec, const Step& s, clawrun_error** e) {
       return clawrun_spec_set(spec, s.words[0].c_str(), s.words[1].c_str(), e);
     }},
    {"profile", 1,
     [](clawrun_spec* spec, const Step& s, clawrun_error** e) { return clawrun_spec_profile(spec, s.words[0].c_str(), e); }},
    {"json", 1,
     [](clawrun_spec* spec, const Step& s, clawrun_error** e) { return clawrun_spec_json(spec, s.words[0].c_str(), e); }},
    {"command", 0,
     [](clawrun_spec* spec, const Step& s, clawrun_error** e) {
       return clawrun_spec_command(spec, s.words.size(), pointers(s.words).data(), e);
     }},
    {"file", 2,
     [](clawrun_spec* spec, const Step& s, clawrun_error** e) {
       return clawrun_spec_file(spec, s.words[0].c_str(), s.words[1].data(), s.words[1].size(), s.mode, e);
     }},
};

constexpr StepKind<clawrun_claim> kClaimSteps[] = {
    {"set", 2,
     [](clawrun_claim* claim, const Step& s, clawrun_error** e) {
       if (s.words[0] == "env") return clawrun_claim_env(claim, s.words[1].c_str(), e);
       return clawrun_claim_set(claim, s.words[0].c_str(), s.words[1].c_str(), e);
     }},
    {"command", 0,
     [](clawrun_claim* claim, const Step& s, clawrun_error** e) {
       return clawrun_claim_command(claim, s.words.size(), pointers(s.words).data(), e);
     }},
    {"code", 1,
     [](clawrun_claim* claim, const Step& s, clawrun_error** e) {
       return clawrun_claim_code(claim, s.words[0].data(), s.words[0].size(), e);
     }},
    {"file", 2,
     [](clawrun_claim* claim, const Step& s, clawrun_error** e) {
       return clawrun_claim_file(claim, s.words[0].c_str(), s.words[1].data(), s.words[1].size(), s.mode, e);
     }},
};

constexpr StepKind<clawrun_pool_options> kPoolSteps[] = {
    {"set", 2,
     [](clawrun_pool_options* options, const Step& s, clawrun_error** e) {
       return clawrun_pool_options_set(options, s.words[0].c_str(), s.words[1].c_str(), e);
     }},
};

template <typename Handle, std::size_t N>
bool take_steps_of(napi_env env, napi_value array, const StepKind<Handle> (&kinds)[N], Handle* handle) {
  std::vector<Step> steps;
  if (!read_steps(env, array, steps)) return false;
  for (const Step& step : steps) {
    const StepKind<Handle>* found = nullptr;
    for (const StepKind<Handle>& kind : kinds)
      if (step.kind == kind.kind && step.words.size() >= kind.least_words) found = &kind;
    if (found == nullptr) {
      throw_misuse(env, ("clawrun: no such step here: " + step.kind).c_str());
      return false;
    }
    clawrun_error* error = nullptr;
    if (found->take(handle, step, &error) < 0) {
      throw_failure(env, failure_of(error));
      return false;
    }
  }
  return true;
}

}  // namespace

bool take_steps(napi_env env, napi_value array, clawrun_spec* spec) {
  return take_steps_of(env, array, kSpecSteps, spec);
}

bool take_steps(napi_env env, napi_value array, clawrun_claim* claim) {
  return take_steps_of(env, array, kClaimSteps, claim);
}

bool take_steps(napi_env env, napi_value array, clawrun_pool_options* options) {
  return take_steps_of(env, array, kPoolSteps, options);
}

}  // namespace clawrun_node
