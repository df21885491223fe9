// What a program of bad intent tries from inside a sandbox: each verb tries one kind of thing and prints what came of it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace hostile {

using Words = std::span<char* const>;

// A line on standard output, at once.
void say(std::string_view text);

// "OK" for a result that is not negative, the name of the errno otherwise.
std::string outcome(long result);

// The value of a call, or -errno.
long checked(long result);

std::string read_file(const std::string& path, std::size_t limit = 1 << 20U);

// attempts.cc: single system calls by name, each in a process of its own: "NAME OUTCOME".
int attempts(Words words);

// walks.cc: everything that can be seen below /proc, /sys and /.
int write_everywhere(Words words);
int search_proc(Words words);
int look_at(Words words);
int writable_places(Words words);
int descriptors(Words words);
int fill(Words words);

// escapes.cc: processes that will not die, and processes that reach for others.
int signal_everyone(Words words);
int trace_everyone(Words words);
int fork_bomb(Words words);
int memory_bomb(Words words);
int refuse_to_die(Words words);
int connect_abstract(Words words);
int threads(Words words);

// chase.cc: for the runtime's own file, from inside.
int chase(Words words);

// joiners.cc: for what the processes of an exec bring along.
int trace_joiners(Words words);

// outside.cc: the host's side of an attack.
int exchange(Words words);
int watch(Words words);
int listen_abstract(Words words);
int strange_start(Words words);

}  // namespace hostile
