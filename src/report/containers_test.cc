#include "report/containers.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;

ListedContainer container() {
  ListedContainer one;
  state::ContainerRecord& record = one.state.record;
  record.id = "one";
  record.oci_version = "1.3.0";
  record.bundle = "/bundles/one";
  record.rootfs = "/bundles/one/rootfs";
  record.init.pid = 4321;
  record.created = "2026-11-21T19:00:00.123456789Z";
  one.state.status = state::ContainerStatus::kRunning;
  one.owner = "root";
  return one;
}

}  // namespace

TEST_CASE("a container's state has runc's members in runc's order") {
  ListedContainer one = container();
  CHECK(container_json(one) ==
        "{\n  \"ociVersion\": \"1.3.0\",\n  \"id\": \"one\",\n  \"pid\": 4321,\n  \"status\": \"running\",\n"
        "  \"bundle\": \"/bundles/one\",\n  \"rootfs\": \"/bundles/one/rootfs\",\n"
        "  \"created\": \"2026-11-21T19:00:00.123456789Z\",\n  \"owner\": \"root\"\n}\n");
  one.state.record.annotations = {{"b", "2"}, {"a", "1"}};
  std::vector<std::string> keys;
  const Json json = Json::parse(container_json(one));
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  CHECK(keys ==
        std::vector<std::string>{"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"});
  one.state.status = state::ContainerStatus::kStopped;
  CHECK(Json::parse(container_json(one))["pid"] == 0);
}

TEST_CASE("bytes that are no UTF-8 leave the document valid") {
  ListedContainer one = container();
  one.state.record.bundle = "/\xff\x1b[2J";
  one.state.record.annotations = {{"a\xfe", "\xc3"}};
  CHECK(Json::accept(container_json(one)));
  CHECK(containers_table({&one, 1}).find('\x1b') == std::string::npos);
}

TEST_CASE("lists") {
  const ListedContainer one = container();
  CHECK(containers_json({}) == "[]\n");
  CHECK(containers_table({}) == "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
  CHECK(Json::parse(containers_json({&one, 1}))[0]["id"] == "one");
  CHECK(containers_json({&one, 1}).find('\n') == containers_json({&one, 1}).size() - 1);
  CHECK(containers_table({&one, 1}) ==
        "ID          PID         STATUS      BUNDLE         CREATED                          OWNER\n"
        "one         4321        running     /bundles/one   2026-11-21T19:00:00.123456789Z   root\n");
}

TEST_CASE("of ps its titles and the lines of the container's processes") {
  const std::vector<pid_t> pids = {7, 12};
  CHECK(ps_lines("UID   PID CMD\nroot    7 sh\nroot   70 sh 7\nroot   12 a  b\n7   8 c\n", pids) ==
        "UID   PID CMD\nroot    7 sh\nroot   12 a  b\n");
  CHECK(ps_lines("PID\n", pids) == "PID\n");
  CHECK(ps_lines("UID PID\nroot\n\n", pids) == "UID PID\n");
  CHECK_FALSE(ps_lines("", pids));
  CHECK_FALSE(ps_lines("COMMAND\nsh\n", pids));
  CHECK(pids_json(pids) == "[7,12]\n");
  CHECK(pids_json({}) == "[]\n");
}

}  // namespace clawrun::report
