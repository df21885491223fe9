// `checkpoint` and `restore`: a container's processes as files, and processes of those files again, through CRIU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/criu_session.h"
#include "oci/config.h"

namespace clawrun::engine {

// criu_cg_mode of CRIU's rpc.proto.
enum class CgroupsMode : std::uint8_t { kIgnore = 0, kNone = 1, kSoft = 3, kFull = 4, kStrict = 5 };

// The words that both verbs have in common.
struct CriuOptions {
  std::string image_path;  // "": "checkpoint" in the working directory
  std::string work_path;   // "": image_path
  bool tcp_established = false;
  bool tcp_close = false;
  bool ext_unix_sk = false;
  bool shell_job = false;
  bool file_locks = false;
  bool lazy_pages = false;
  bool auto_dedup = false;
  bool link_remap = false;
  bool empty_network = false;
  CgroupsMode cgroups_mode = CgroupsMode::kSoft;
};

struct CheckpointOptions {
  CriuOptions criu;
  std::string parent_path;  // relative to image_path
  bool leave_running = false;
  bool pre_dump = false;
  bool tcp_skip_in_flight = false;
  std::optional<int> status_fd;
  std::string page_server_address;
  unsigned page_server_port = 0;
};

// The container has stopped then, and is there to be deleted, unless it was to go on. On failure it goes on.
Result<> checkpoint(const Runtime& runtime, const std::string& id, const CheckpointOptions& options);

struct RestoreOptions {
  CriuOptions criu;
  std::string bundle;
  std::string console_socket;
  std::string pid_file;
  std::string lsm_profile;
  std::string lsm_mount_context;
  bool detach = false;
  bool no_subreaper = false;
  std::function<void(const std::string& message)> warn;
};

// The exit status of the restored process, or 0 where detached. On failure nothing is left.
Result<int> restore(const Runtime& runtime, const std::string& id, const RestoreOptions& options);

// What both requests begin with.
struct ImageDirectories {
  std::string images_path;
  std::string work_path;
  UniqueFd images;
  UniqueFd work;
};
enum class ImagesAre : std::uint8_t { kToBeMade, kThere };
Result<ImageDirectories> open_image_directories(const CriuOptions& options, ImagesAre are);
Result<> begin_request(CriuRequest& request, const CriuOptions& options, const ImageDirectories& directories,
                       const oci::Config& config);

// The mounts that are not the container's own: "mnt[PLACE]" of each, and what is there on the host.
struct ExternalMount {
  std::string place;
  std::string source;
};
std::vector<ExternalMount> external_mounts(const oci::Config& config, const std::string& bundle);

// Namespaces that are joined by path: those that CRIU lets be given from outside, with the names that stand for them in the
// images.
struct ExternalNamespace {
  std::uint64_t flag;  // CLONE_NEW*
  const char* file;    // of /proc/PID/ns, and CRIU's word
  const char* name;
};
inline constexpr ExternalNamespace kExternalNamespaces[] = {{0x40000000, "net", "extRootNetNS"},
                                                            {0x20000000, "pid", "extRootPidNS"}};

// What the images would not have in them, or a restored process would be without: said before anything is done.
Result<> check_can_be_restored(const oci::Config& config);

}  // namespace clawrun::engine
