#include <doctest/doctest.h>
#include <linux/sched.h>
#include <sys/resource.h>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

std::string with(std::string_view members) {
  std::string json = R"({"args":["sh"],"cwd":"/")";
  if (!members.empty()) json += ",";
  return json.append(members).append("}");
}

Process process_from(const std::string& json) {
  const auto process = parse_process(json);
  CAPTURE(json);
  if (!process) FAIL(process.error().message);
  return *process;
}

std::string error_of(const std::string& json) {
  const auto process = parse_process(json);
  if (process) return "";
  CHECK(process.error().kind == ErrorKind::kInvalid);
  return process.error().message;
}

}  // namespace

TEST_CASE("oci process: the least that is one") {
  const Process process = process_from(with(""));
  CHECK(process.args == std::vector<std::string>{"sh"});
  CHECK(process.cwd == "/");
  CHECK(process.user.uid == 0);
  CHECK_FALSE(process.user.umask);
  CHECK_FALSE(process.capabilities);
  CHECK_FALSE(process.oom_score_adj);
  CHECK_FALSE(process.terminal);
}

TEST_CASE("oci process: what must be there is") {
  CHECK(error_of(R"({"cwd":"/"})") == "args: is missing; it must be the command and its arguments");
  CHECK(error_of(R"({"args":null,"cwd":"/"})") == "args: is missing; it must be the command and its arguments");
  CHECK(error_of(R"({"args":[],"cwd":"/"})") == "args: is empty; it must be the command and its arguments");
  CHECK(error_of(R"({"args":["a"]})") == "cwd: is missing; it must be an absolute path");
  CHECK(error_of(R"({"args":["a"],"cwd":"x"})") == "cwd: \"x\" is not an absolute path");
  CHECK(error_of(R"({"args":["a"],"cwd":""})") == "cwd: \"\" is not an absolute path");
  CHECK(error_of(R"({"args":["a","b\u0000c"],"cwd":"/"})") == "args[1]: \"b\\x00c\" contains a NUL byte");
  CHECK(error_of(R"({"args":["a"],"cwd":"/\u0000"})") == "cwd: \"/\\x00\" contains a NUL byte");
  CHECK(error_of(R"({"args":"sh","cwd":"/"})") == "args: \"sh\" is not a list of strings");
}

TEST_CASE("oci process: user ids are those that exist") {
  const Process process = process_from(with(R"("user":{"uid":1000,"gid":4294967294,"umask":18,"additionalGids":[5,6]})"));
  CHECK(process.user.uid == 1000);
  CHECK(process.user.gid == 4294967294U);
  CHECK(process.user.umask == 18U);
  CHECK(process.user.additional_gids == std::vector<std::uint32_t>{5, 6});
  CHECK(error_of(with(R"("user":{"uid":4294967295})")) == "user.uid: 4294967295 is not a whole number from 0 to 4294967294");
  CHECK(error_of(with(R"("user":{"uid":"1000"})")) == "user.uid: \"1000\" is not a whole number from 0 to 4294967294");
  CHECK(error_of(with(R"("user":{"uid":1e3})")) == "user.uid: 1e3 is not a whole number from 0 to 4294967294");
  CHECK(error_of(with(R"("user":{"gid":-1})")) == "user.gid: -1 is not a whole number from 0 to 4294967294");
  CHECK(error_of(with(R"("user":{"umask":512})")) == "user.umask: 512 is not a whole number from 0 to 511");
  CHECK(error_of(with(R"("user":{"additionalGids":[1,4294967295]})")) ==
        "user.additionalGids[1]: 4294967295 is not a whole number from 0 to 4294967294");
  CHECK(error_of(with(R"("user":"root")")) == "user: \"root\" is not an object");
}

TEST_CASE("oci process: environment and console") {
  CHECK(process_from(with(R"("env":["A=","B=1=2"])")).env == std::vector<std::string>{"A=", "B=1=2"});
  CHECK(error_of(with(R"("env":["A"])")) == "env[0]: \"A\" is not of the form NAME=VALUE");
  CHECK(error_of(with(R"("env":["=A"])")) == "env[0]: \"=A\" is not of the form NAME=VALUE");
  CHECK(error_of(with(R"("env":["A=\u0000"])")) == "env[0]: \"A=\\x00\" contains a NUL byte");
  const Process process = process_from(with(R"("terminal":true,"consoleSize":{"height":24,"width":80})"));
  CHECK(process.terminal);
  CHECK(process.console_size->width == 80);
  CHECK(error_of(with(R"("consoleSize":{"height":24})")) == "consoleSize.width: is missing; it must be a number of columns");
  CHECK(error_of(with(R"("consoleSize":{"height":65536,"width":1})")) ==
        "consoleSize.height: 65536 is not a whole number from 0 to 65535");
}

TEST_CASE("oci process: capabilities by their exact names, unknown ones listed once") {
  const Process process = process_from(with(
      R"("capabilities":{"bounding":["CAP_CHOWN","CAP_NEW","CAP_CHECKPOINT_RESTORE"],"effective":["CAP_NEW","chown","CHOWN"],)"
      R"("inheritable":["CAP_KILL"],"permitted":["CAP_CHOWN"],"ambient":null})"));
  REQUIRE(process.capabilities);
  CHECK(process.capabilities->bounding == (1U | (std::uint64_t{1} << 40U)));
  CHECK(process.capabilities->effective == 0);
  CHECK(process.capabilities->inheritable == (1U << 5U));
  CHECK(process.capabilities->permitted == 1U);
  CHECK(process.capabilities->ambient == 0);
  CHECK(process.unknown_capabilities == std::vector<std::string>{"CAP_NEW", "chown", "CHOWN"});
  CHECK(ignored_capabilities(process) == R"(process.capabilities: ignoring unknown capabilities: "CAP_NEW", "chown", "CHOWN")");
  CHECK(ignored_capabilities({}) == "");
  Process many;
  many.unknown_capabilities.assign(10000, std::string(10000, 'X') + "\n");
  CHECK(ignored_capabilities(many).size() < 5000);
  CHECK(ignored_capabilities(many).ends_with(", and 9990 more"));
  CHECK(ignored_capabilities(many).find('\n') == std::string::npos);
  CHECK(process_from(with(R"("capabilities":{})")).capabilities);
  CHECK_FALSE(process_from(with(R"("capabilities":null)")).capabilities);
  CHECK(error_of(with(R"("capabilities":{"bounding":"CAP_CHOWN"})")) ==
        "capabilities.bounding: \"CAP_CHOWN\" is not a list of capabilities");
  CHECK(error_of(with(R"("capabilities":["CAP_CHOWN"])")) == "capabilities: a list is not an object");
}

TEST_CASE("oci process: resource limits") {
  const Process process = process_from(with(R"("rlimits":[{"type":"RLIMIT_NOFILE","soft":100,"hard":200},)"
                                            R"({"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}])"));
  REQUIRE(process.rlimits.size() == 2);
  CHECK(process.rlimits[0].resource == RLIMIT_NOFILE);
  CHECK(process.rlimits[1].hard == RLIM_INFINITY);
  CHECK(error_of(with(R"("rlimits":[{"type":"RLIMIT_NOFILE","soft":2,"hard":1}])")) ==
        "rlimits[0].soft: 2 is more than the hard limit, 1");
  CHECK(error_of(with(R"("rlimits":[{"type":"RLIMIT_NOFILE","soft":1}])")) ==
        "rlimits[0].hard: is missing; it must be a whole number");
  CHECK(error_of(with(R"("rlimits":[{"type":"NOFILE","soft":1,"hard":1}])"))
            .starts_with("rlimits[0].type: \"NOFILE\" is not one of RLIMIT_AS, RLIMIT_CORE"));
  CHECK(error_of(with(R"("rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":1},{"type":"RLIMIT_CPU","soft":2,"hard":2}])")) ==
        "rlimits[1].type: the same resource is there twice");
}

TEST_CASE("oci process: oom score, scheduler, I/O priority, affinity") {
  CHECK(process_from(with(R"("oomScoreAdj":-1000)")).oom_score_adj == -1000);
  CHECK(process_from(with(R"("oomScoreAdj":0)")).oom_score_adj == 0);
  CHECK(error_of(with(R"("oomScoreAdj":1001)")) == "oomScoreAdj: 1001 is not a whole number from -1000 to 1000");

  const Process process = process_from(
      with(R"("scheduler":{"policy":"SCHED_DEADLINE","flags":["SCHED_FLAG_RESET_ON_FORK","SCHED_FLAG_DL_OVERRUN"],)"
           R"("runtime":10000,"deadline":20000,"period":30000},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":7},)"
           R"("execCPUAffinity":{"initial":"0-2, 7,","final":""})"));
  CHECK(process.scheduler->policy == SCHED_DEADLINE);
  CHECK(process.scheduler->flags == 5);
  CHECK(process.scheduler->period_ns == 30000);
  CHECK(process.io_priority->io_class == 2);
  CHECK(process.io_priority->priority == 7);
  CHECK(process.exec_cpu_affinity->initial == "0-2,7");
  CHECK(process.exec_cpu_affinity->final.empty());

  CHECK(error_of(with(R"("scheduler":{})")) == "scheduler.policy: is missing; it must be a policy such as SCHED_OTHER");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_EXT"})"))
            .starts_with("scheduler.policy: \"SCHED_EXT\" is not one of SCHED_OTHER, SCHED_FIFO"));
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_FIFO","nice":1,"priority":1})")) ==
        "scheduler.nice: goes with SCHED_OTHER and SCHED_BATCH only");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_OTHER","priority":1})")) ==
        "scheduler.priority: goes with SCHED_FIFO and SCHED_RR only");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_RR"})")) ==
        "scheduler.priority: must be from 1 to 99 for SCHED_FIFO and SCHED_RR");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_OTHER","nice":20})")) ==
        "scheduler.nice: 20 is not a whole number from -20 to 19");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_IDLE","period":1})")) == "scheduler.period: goes with SCHED_DEADLINE only");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_DEADLINE","runtime":2,"deadline":1})")) ==
        "scheduler.deadline: must not be less than the runtime");
  CHECK(error_of(with(R"("scheduler":{"policy":"SCHED_OTHER","flags":["X"]})"))
            .starts_with("scheduler.flags[0]: \"X\" is not one of SCHED_FLAG_RESET_ON_FORK"));
  CHECK(error_of(with(R"("ioPriority":{"priority":1})")) ==
        "ioPriority.class: is missing; it must be a class such as IOPRIO_CLASS_BE");
  CHECK(error_of(with(R"("ioPriority":{"class":"IOPRIO_CLASS_RT","priority":8})")) ==
        "ioPriority.priority: 8 is not a whole number from 0 to 7");
  for (const char* list : {"a", "2-1", "-1", "1-", "1-2-3", "0x1", "99999", "1;2", "1\\n"}) {
    CAPTURE(list);
    CHECK(error_of(with(R"("execCPUAffinity":{"initial":")" + std::string(list) + R"("})")).find("is not a list of numbers") !=
          std::string::npos);
  }
}

}  // namespace clawrun::oci
