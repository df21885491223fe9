#include "resctrl/stats.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "base/text.h"
#include "resctrl/schemata.h"
#include "sys/sys.h"

namespace clawrun::resctrl {

namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 20U;

std::string text_in(const std::string& path) {
  return sys::read_file(path, kMaxText).value_or("");
}

std::uint64_t number_in(const std::string& path) {
  return number_at_start(text_in(path));
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

std::vector<std::string> caches_in(const std::string& directory) {
  std::vector<std::string> paths;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), ::closedir);
  while (const dirent* entry = listing ? ::readdir(listing.get()) : nullptr)
    if (std::string_view(entry->d_name).starts_with("mon_L3_")) paths.push_back(directory + "/" + entry->d_name);
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

Stats read_stats(const Group& group) {
  Stats stats;
  const std::string info = group.root() + "/info";
  const std::string root_lines = text_in(group.root() + "/schemata");
  const std::string lines = text_in(group.path() + "/schemata");
  if (is_there(info + "/L3")) {
    stats.cache = CacheInfo{std::string(trimmed(text_in(info + "/L3/cbm_mask"))), number_in(info + "/L3/min_cbm_bits"),
                            number_in(info + "/L3/num_closids")};
    stats.cache_root_line = line_of(root_lines, "L3");
    stats.cache_line = line_of(lines, "L3");
  }
  if (is_there(info + "/MB")) {
    stats.bandwidth = BandwidthInfo{number_in(info + "/MB/bandwidth_gran"), number_in(info + "/MB/delay_linear"),
                                    number_in(info + "/MB/min_bandwidth"), number_in(info + "/MB/num_closids")};
    stats.bandwidth_root_line = line_of(root_lines, "MB");
    stats.bandwidth_line = line_of(lines, "MB");
  }
  const std::string known = text_in(info + "/L3_MON/mon_features");
  for (const std::string_view feature : split(known, '\n')) {
    stats.counts_bandwidth = stats.counts_bandwidth || feature.starts_with("mbm_");
    stats.counts_occupancy = stats.counts_occupancy || feature == "llc_occupancy";
  }
  if (!stats.counts_bandwidth && !stats.counts_occupancy) return stats;
  for (const std::string& cache : caches_in(group.counting_path() + "/mon_data"))
    stats.uses.push_back(
        {number_in(cache + "/mbm_total_bytes"), number_in(cache + "/mbm_local_bytes"), number_in(cache + "/llc_occupancy")});
  return stats;
}

}  // namespace clawrun::resctrl
