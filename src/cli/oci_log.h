// Where the verbs over OCI containers write their one error: --log and --log-format, and standard error.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::cli {

enum class OciLogFormat : std::uint8_t { kText, kJson };

class OciLog {
 public:
  // "" for none. The file is opened for appending at once, as runc does: an engine that cannot read it afterwards says so badly.
  Result<> open(const std::string& path);
  void set_format(OciLogFormat format) { format_ = format; }

  // One object, or one line, to the file; the message as one line to standard error. Engines read either, and Podman wants
  // exactly one object: it reads the whole file as one.
  void write_error(const Error& error) const;

  // To the file where there is one, else to standard error, which may be the container's too.
  void write_warning(std::string_view message) const;
  // Whether warnings have to wait for success: beside an error one would be a second object.
  [[nodiscard]] bool holds_one_object() const { return file_.valid(); }

 private:
  [[nodiscard]] bool is_stderr_log() const { return on_stderr_ || (!file_.valid() && format_ == OciLogFormat::kJson); }

  UniqueFd file_;
  bool on_stderr_ = false;  // the line of the log instead of the plain message
  OciLogFormat format_ = OciLogFormat::kText;
};

// The message with the kernel's words as Go has them, in lower case: Docker's client looks for "no such file or directory" and
// "permission denied" and takes its exit status from them.
std::string engine_wording(const Error& error);

// {"level":"error","msg":…,"time":…} or time=… level=error msg=…, with a newline.
struct OciLogLine {
  std::string_view level = "error";
  std::string_view message;
};
std::string log_line(OciLogFormat format, const OciLogLine& line, std::time_t now);

}  // namespace clawrun::cli
