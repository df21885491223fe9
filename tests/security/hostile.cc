#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hostile {

void say(std::string_view text) {
  const std::string line = std::string(text) + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, line.data(), line.size());
}

long checked(long result) { return result < 0 ? -errno : result; }

std::string outcome(long result) {
  if (result >= 0) return "OK";
  const char* name = strerrorname_np(static_cast<int>(-result));
  return name != nullptr ? name : std::to_string(-result);
}

std::string read_file(const std::string& path, std::size_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return {};
  std::string text;
  char buffer[8192];
  ssize_t size = 0;
  while (text.size() < limit && (size = ::read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(size));
  ::close(fd);
  return text;
}

}  // namespace hostile

namespace {

struct Verb {
  std::string_view name;
  int (*run)(hostile::Words);
};

constexpr Verb kVerbs[] = {{"attempts", hostile::attempts},
                           {"write-everywhere", hostile::write_everywhere},
                           {"search-proc", hostile::search_proc},
                           {"look-at", hostile::look_at},
                           {"writable-places", hostile::writable_places},
                           {"descriptors", hostile::descriptors},
                           {"fill", hostile::fill},
                           {"signal-everyone", hostile::signal_everyone},
                           {"trace-everyone", hostile::trace_everyone},
                           {"fork-bomb", hostile::fork_bomb},
                           {"memory-bomb", hostile::memory_bomb},
                           {"refuse-to-die", hostile::refuse_to_die},
                           {"connect-abstract", hostile::connect_abstract},
                           {"threads", hostile::threads},
                           {"chase", hostile::chase},
                           {"trace-joiners", hostile::trace_joiners},
                           {"exchange", hostile::exchange},
                           {"watch", hostile::watch},
                           {"listen-abstract", hostile::listen_abstract},
                           {"strange-start", hostile::strange_start}};

}  // namespace

int main(int argc, char** argv) {
  // A place to wait in, by its name: `hostile sleep MARKER` is found in /proc by the marker.
  if (argc >= 2 && std::strcmp(argv[1], "sleep") == 0)
    for (;;) ::pause();
  for (const Verb& verb : kVerbs)
    if (argc >= 2 && verb.name == argv[1]) return verb.run(hostile::Words(argv + 2, static_cast<std::size_t>(argc - 2)));
  hostile::say("hostile: no such verb");
  return 64;
}
