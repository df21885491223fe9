// What each of the verbs over OCI containers does with its words, which have been read.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/oci_options.h"
#include "engine/containers.h"

namespace clawrun::cli {

// The number of operands is what the verb's row allows. The result is the exit status.
using OciFunction = Result<int> (*)(const engine::Runtime& runtime, const OciWords& words);

Result<int> oci_create(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_start(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_run(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_state(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_kill(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_delete(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_pause(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_resume(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_exec(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_update(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_list(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_ps(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_stats(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_events(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_features(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_spec(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_checkpoint(const engine::Runtime& runtime, const OciWords& words);
Result<int> oci_restore(const engine::Runtime& runtime, const OciWords& words);

// parse_unsigned() of an option's value, 0 where it was not given; the error names the option.
Result<std::uint64_t> unsigned_option(const OciWords& words, std::string_view name, std::uint64_t max);

// --format: whether it is json. Another word than json or table is an error.
enum class OciFormat : std::uint8_t { kTable, kJson };
Result<OciFormat> format_option(const OciWords& words);

}  // namespace clawrun::cli
