// The text of subuid(5), subgid(5) and passwd(5), read without NSS, which a static binary does not have.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/facts.h"

namespace clawrun::host {

// The ranges of the lines whose owner is `name` or the number `uid`. A line of another owner may be anything; one of ours
// that is malformed is an error, because half of a map is worse than none.
Result<std::vector<SubIdRange>> parse_sub_ids(std::string_view text, std::string_view name, std::uint32_t uid);

// The first id above every range in the text, and at least 100000: what a new range may start with.
std::uint64_t first_free_sub_id(std::string_view text);

// The login name of the first passwd line with this uid, or "".
std::string login_name(std::string_view passwd_text, std::uint32_t uid);

}  // namespace clawrun::host
