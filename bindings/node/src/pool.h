// A pool, while JavaScript has not closed it.
#pragma once

#include "pool_abi.h"
#include "work.h"

namespace clawrun_node {

struct Pool {
  SharedContext context;
  std::shared_ptr<clawrun_pool> pool;  // shared with the threads that use it; nullptr: closed
};

void add_pool_calls(napi_env env, napi_value exports);

}  // namespace clawrun_node
