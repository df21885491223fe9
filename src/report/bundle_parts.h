// The parts of to_bundle(), each giving its part of config.json as text. A string that is not UTF-8 makes nlohmann/json throw,
// which to_bundle() catches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/bundle.h"

namespace clawrun::report {

// Who is who in the bundle: lines that map root inside too, which every runtime sets containers up as.
struct BundleIds {
  std::vector<plan::IdMapLine> uids;
  std::vector<plan::IdMapLine> gids;
  std::uint32_t uid = 0;  // of the command, inside
  std::uint32_t gid = 0;
};

struct BundleMounts {
  std::string mounts;
  std::string hostname;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
};

// And what stands in the made root, in `bundle`.
BundleMounts make_mounts(const plan::Plan& plan, const BundleFacts& facts, const BundleIds& ids, Bundle& bundle);

// linux.resources; "" where there is nothing to limit.
std::string resources_json(const plan::Plan& plan, const BundleFacts& facts);

}  // namespace clawrun::report
