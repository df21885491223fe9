// Programs of the host that optional features call.
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "base/unique_fd.h"
#include "host/doctor_checks.h"
#include "host/files.h"

namespace clawrun::host {

namespace {

struct ToolRow {
  std::string_view id;
  std::string_view names;  // any one of them does
  std::string_view lost;
  std::string_view package;  // of Debian
};

constexpr ToolRow kTools[] = {
    {"download", "curl wget", "root file systems that are downloaded (clawrun rootfs: alpine, debian)", "curl"},
    {"openssl", "openssl", "checking signatures of Alpine packages", "openssl"},
    {"gpgv", "gpgv", "checking signatures of Debian packages", "gpgv"},
    {"mmdebstrap", "mmdebstrap", "the root file system `debian`", "mmdebstrap"},
    {"skopeo", "skopeo", "root file systems from container images", "skopeo"},
    {"umoci", "umoci", "root file systems from container images", "umoci"},
    {"criu", "criu", "checkpoint and restore", "criu"},
};

std::string find_program(std::string_view name) {
  const char* variable = secure_getenv("PATH");
  // The administrator's directories are often not in a user's PATH.
  const std::string path = std::string(variable != nullptr ? variable : "/usr/bin:/bin") + ":/usr/sbin:/sbin";
  for (const std::string_view directory : split(path, ':')) {
    if (!directory.starts_with('/')) continue;
    std::string candidate(directory);
    candidate += '/';
    candidate += name;
    if (faccessat(AT_FDCWD, candidate.c_str(), X_OK, AT_EACCESS) == 0) return candidate;
  }
  return {};
}

Check tool_check(const ToolRow& row) {
  Check check{.id = "tool." + std::string(row.id), .title = std::string(row.names), .status = Check::Status::kOk};
  for (const std::string_view name : split(row.names, ' ')) {
    check.found = find_program(name);
    if (!check.found.empty()) return check;
  }
  check.status = Check::Status::kMissing;
  check.found = "not installed";
  check.lost = row.lost;
  check.remedy = "sudo apt-get install " + std::string(row.package);
  return check;
}

// A dynamic loader is named by a program header of type PT_INTERP (elf(5)).
bool is_static(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> head{};
  Elf64_Ehdr header{};
  if (!fd.valid() || read(fd.get(), head.data(), head.size()) < static_cast<ssize_t>(sizeof header)) return false;
  std::memcpy(&header, head.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) return false;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (header.e_phoff > head.size() || (i + 1) * sizeof segment > head.size() - header.e_phoff) return false;
    std::memcpy(&segment, head.data() + header.e_phoff + (i * sizeof segment), sizeof segment);
    if (segment.p_type == PT_INTERP) return false;
  }
  return true;
}

Check busybox() {
  Check check{.id = "tool.busybox", .title = "busybox, static", .status = Check::Status::kOk, .found = find_program("busybox")};
  if (!check.found.empty() && is_static(check.found)) return check;
  check.status = Check::Status::kMissing;
  check.found = check.found.empty() ? "not installed" : check.found + " needs shared libraries";
  check.lost = "the root file system `busybox`, which needs no network";
  check.remedy = "sudo apt-get install busybox-static";
  return check;
}

Check systemd() {
  Check check{.id = "tool.systemd", .title = "systemd as the first process"};
  const bool running = exists("/run/systemd/system");
  check.status = running ? Check::Status::kOk : Check::Status::kInfo;
  const std::string first = read_or_empty("/proc/1/comm");
  check.found = running ? "running" : "no" + (first.empty() ? std::string() : "; the first process is " + quoted(first));
  return check;
}

}  // namespace

void check_tools(const DoctorContext& /*context*/, Checks& out) {
  for (const ToolRow& row : kTools) out.push_back(tool_check(row));
  out.push_back(busybox());
  out.push_back(systemd());
}

}  // namespace clawrun::host
