// Steps: what lib/settings.js makes of a caller's words, [KIND, VALUE...] each.
#pragma once

#include "pool_abi.h"
#include "values.h"

namespace clawrun_node {

// False: an exception is pending.
bool take_steps(napi_env env, napi_value array, clawrun_spec* spec);
bool take_steps(napi_env env, napi_value array, clawrun_claim* claim);
bool take_steps(napi_env env, napi_value array, clawrun_pool_options* options);

}  // namespace clawrun_node
