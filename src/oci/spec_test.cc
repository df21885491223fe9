#include "oci/spec.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

using Json = nlohmann::ordered_json;

std::string types(const Json& config) {
  std::string text;
  for (const Json& one : config["linux"]["namespaces"]) text += one["type"].get<std::string>() + " ";
  return text;
}

}  // namespace

TEST_CASE("the starter configuration is one that the parser takes, in each of its forms") {
  for (const bool rootless : {false, true})
    for (const bool unified : {false, true}) {
      StarterOptions options;
      if (rootless) options.rootless = RootlessIds{1000, 100};
      options.cgroup_namespace = unified;
      const auto config = parse_config(starter_config(options));
      REQUIRE(config);
      REQUIRE(config->process);
      CHECK(config->process->args == std::vector<std::string>{"sh"});
      CHECK(config->process->terminal);
      CHECK(config->process->no_new_privileges);
      CHECK(config->root.readonly);
    }
}

TEST_CASE("rootless: an own user namespace, the host's network, and nothing that needs root") {
  const Json root = Json::parse(starter_config({}));
  CHECK(types(root) == "pid network ipc uts mount ");
  CHECK_FALSE(root["linux"].contains("uidMappings"));
  CHECK(root["process"]["capabilities"].size() == 4);
  CHECK_FALSE(root["process"]["capabilities"].contains("inheritable"));

  StarterOptions options;
  options.rootless = RootlessIds{1000, 100};
  options.cgroup_namespace = true;
  const Json user = Json::parse(starter_config(options));
  CHECK(types(user) == "pid ipc uts mount cgroup user ");
  CHECK(user["linux"]["uidMappings"] == Json::parse(R"([{"containerID": 0, "hostID": 1000, "size": 1}])"));
  CHECK(user["linux"]["gidMappings"][0]["hostID"] == 100);
  CHECK_FALSE(user["linux"].contains("resources"));
  for (const Json& mount : user["mounts"]) {
    if (mount["destination"] == "/sys") CHECK(mount["source"] == "/sys");
    if (mount["destination"] == "/dev/pts")
      for (const Json& option : mount["options"]) CHECK(option != "gid=5");
  }
}

}  // namespace clawrun::oci
