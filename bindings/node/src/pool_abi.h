// The functions of clawrun/pool.h, which a library without pools does not have.
#pragma once

#include <clawrun/pool.h>

#pragma weak clawrun_pool_options_new
#pragma weak clawrun_pool_options_free
#pragma weak clawrun_pool_options_set
#pragma weak clawrun_pool_open
#pragma weak clawrun_pool_close
#pragma weak clawrun_pool_wait_ready
#pragma weak clawrun_pool_resize
#pragma weak clawrun_pool_stats_json
#pragma weak clawrun_pool_stats_prometheus
#pragma weak clawrun_claim_new
#pragma weak clawrun_claim_free
#pragma weak clawrun_claim_command
#pragma weak clawrun_claim_code
#pragma weak clawrun_claim_env
#pragma weak clawrun_claim_file
#pragma weak clawrun_claim_set
#pragma weak clawrun_pool_claim
