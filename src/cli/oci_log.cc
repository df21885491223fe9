#include "cli/oci_log.h"

#include <fcntl.h>

#include <cctype>
#include <cstring>

#include "base/text.h"
#include "cli/message.h"
#include "cli/output.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

// A message is one line wherever it goes.
std::string one_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string line(text);
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  return line;
}

}  // namespace

Result<> OciLog::open(const std::string& path) {
  if (path.empty()) return {};
  std::string_view name = path;
  // crun's forms: a kind of log before a colon.
  for (const std::string_view kind : {"syslog:", "journald:"})
    if (name.starts_with(kind))
      return fail(ErrorKind::kUnsupported, "--log " + shown(name) + ": errors are written to files only");
  if (name.starts_with("file:")) name.remove_prefix(5);
  // runc's default, and a symbolic link.
  on_stderr_ = name == "/dev/stderr";
  if (on_stderr_) return {};
  auto file = sys::open(std::string(name), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY, 0644);
  if (!file) return while_doing("--log", file.error());
  file_ = std::move(*file);
  return {};
}

void OciLog::write_error(const Error& error) const {
  const std::string message = one_line(engine_wording(error));
  const std::string line = log_line(format_, {.message = message}, ::time(nullptr));
  // Where even the log cannot be written there is standard error, and where both are gone nobody to tell.
  if (file_.valid()) (void)sys::write_all(file_.get(), line);
  if (is_stderr_log()) {
    (void)sys::write_all(2, line);
  } else {
    cli::write_error(message);
  }
}

void OciLog::write_warning(std::string_view message) const {
  const std::string plain = one_line(message);
  const std::string line = log_line(format_, {.level = "warning", .message = plain}, ::time(nullptr));
  if (file_.valid() || is_stderr_log()) {
    (void)sys::write_all(file_.valid() ? file_.get() : 2, line);
  } else {
    cli::write_error("warning: " + plain);
  }
}

std::string engine_wording(const Error& error) {
  std::string message = error.message;
  const char* text = error.errno_value == 0 ? nullptr : strerrordesc_np(error.errno_value);
  if (text == nullptr) return message;
  const std::string_view words = text;
  for (std::size_t at = message.find(words); at != std::string::npos; at = message.find(words, at + words.size())) {
    // Names such as "RFS specific error" and "I/O" keep their capitals.
    if (words.size() > 1 && std::islower(static_cast<unsigned char>(words[1])) != 0)
      message[at] = static_cast<char>(std::tolower(static_cast<unsigned char>(words[0])));
  }
  return message;
}

std::string log_line(OciLogFormat format, const OciLogLine& line, std::time_t now) {
  std::tm parts{};
  char time[64] = "1970-01-01T00:00:00Z";
  if (::gmtime_r(&now, &parts) != nullptr) (void)std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (format == OciLogFormat::kJson)
    return "{\"level\":\"" + std::string(line.level) + "\",\"msg\":" + json_quoted(line.message) + ",\"time\":\"" + time +
           "\"}\n";
  return std::string("time=\"") + time + "\" level=" + std::string(line.level) + " msg=" + json_quoted(line.message) + "\n";
}

}  // namespace clawrun::cli
