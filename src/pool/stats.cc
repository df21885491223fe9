#include "pool/stats.h"

namespace clawrun::pool {

namespace {

struct Row {
  std::string_view name;  // in JSON
  std::string_view metric;
  std::string_view type;
  std::string_view help;
  std::uint64_t Stats::*value;
};

constexpr Row kRows[] = {
    {"size", "size", "gauge", "Sandboxes that the pool is to keep ready.", &Stats::size},
    {"ready", "ready", "gauge", "Sandboxes that are ready.", &Stats::ready},
    {"filling", "filling", "gauge", "Sandboxes that are being made.", &Stats::filling},
    {"hits", "hits_total", "counter", "Claims that found a sandbox ready.", &Stats::hits},
    {"misses", "misses_total", "counter", "Claims that found none and started one cold.", &Stats::misses},
    {"waited", "waited_total", "counter", "Claims that found none and waited for one.", &Stats::waited},
    {"starved", "starved_total", "counter", "Claims that waited in vain.", &Stats::starved},
    {"made", "made_total", "counter", "Sandboxes that were made ready.", &Stats::made},
    {"died", "died_total", "counter", "Ready sandboxes that ended by themselves.", &Stats::died},
    {"failed", "failed_total", "counter", "Sandboxes that could not be made.", &Stats::failed},
    {"shrunk", "shrunk_total", "counter", "Ready sandboxes given up because memory was short.", &Stats::shrunk},
    {"refill_us_total", "refill_microseconds_total", "counter", "Time that the made sandboxes took to be ready.",
     &Stats::refill_us_total},
    {"refill_us_max", "refill_microseconds_max", "gauge", "The longest that one took to be ready.", &Stats::refill_us_max},
};

// What the format wants of a label's value.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    result += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return result;
}

}  // namespace

std::string to_json(const Stats& stats) {
  std::string json;
  for (const Row& row : kRows)
    json += (json.empty() ? "{\"" : ",\"") + std::string(row.name) + "\":" + std::to_string(stats.*row.value);
  return json + "}";
}

std::string to_prometheus(const Stats& stats, std::string_view pool) {
  std::string text;
  for (const Row& row : kRows) {
    const std::string metric = "clawrun_pool_" + std::string(row.metric);
    text += "# HELP " + metric + " " + std::string(row.help) + "\n# TYPE " + metric + " " + std::string(row.type) + "\n" +
            metric + "{pool=\"" + escaped(pool) + "\"} " + std::to_string(stats.*row.value) + "\n";
  }
  return text;
}

}  // namespace clawrun::pool
