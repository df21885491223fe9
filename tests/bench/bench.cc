// Times whole commands against each other: one of each in every round, in a new random order, so that what else the machine
// does falls on all of them alike. Only ratios within one run mean anything.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "report.h"

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int rounds = 200;
  int warmup = 10;
  unsigned seed = 1;
  std::string json;
  std::string label;
  std::string rows;
  std::vector<std::string> against;
};

constexpr char kUsage[] =
    "usage: bench [--rounds N] [--warmup N] [--seed N] [--label TEXT] [--json FILE] [--against NAME]... ROWS\n"
    "ROWS is a file: one row a line, its name and the words of its command separated by tabs. The word \";\" begins another command\n"
    "of the row, one that begins with the word \"@\" is not timed, and {n} in a word is a number that no round has twice. With\n"
    "--against NAME all are compared with the row NAME, and rows GROUP/... with the row GROUP/NAME.\n";

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "bench: %s\n", text.c_str());
  std::exit(2);
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : line) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::vector<Row> read_rows(const std::string& path) {
  std::ifstream file(path);
  if (!file) die("cannot read " + path);
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> words = split(line, '\t');
    if (words.size() < 2 || line.starts_with('#')) continue;
    Row row;
    row.name = words[0];
    row.steps.emplace_back();
    for (std::size_t i = 1; i < words.size(); ++i) {
      Step& step = row.steps.back();
      if (words[i] == ";")
        row.steps.emplace_back();
      else if (words[i] == "@" && step.words.empty())
        step.timed = false;
      else
        step.words.push_back(words[i]);
    }
    for (const Step& step : row.steps)
      if (step.words.empty()) die(path + ": the row " + row.name + " has an empty command");
    rows.push_back(std::move(row));
  }
  if (rows.empty()) die(path + " names no command");
  return rows;
}

struct Ended {
  double us = 0;
  int status = 0;
};

std::string with_number(std::string word, const std::string& number) {
  for (std::size_t at = word.find("{n}"); at != std::string::npos; at = word.find("{n}", at)) word.replace(at, 3, number);
  return word;
}

// posix_spawn to the end of waitpid. `error_fd` is the command's stderr.
Ended time_step(const Step& step, const std::string& number, int null_fd, int error_fd) {
  std::vector<std::string> words;
  for (const std::string& word : step.words) words.push_back(with_number(word, number));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, null_fd, 0);
  posix_spawn_file_actions_adddup2(&actions, null_fd, 1);
  posix_spawn_file_actions_adddup2(&actions, error_fd, 2);
  pid_t pid = -1;
  Ended ended;
  const auto begin = Clock::now();
  const int error = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  if (error == 0)
    while (::waitpid(pid, &ended.status, 0) < 0 && errno == EINTR) {
    }
  ended.us = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  if (error != 0) ended.status = -1;
  posix_spawn_file_actions_destroy(&actions);
  return ended;
}

// All commands of the row until one fails.
Ended time_once(const Row& row, int null_fd, int error_fd) {
  static unsigned long count = 0;
  const std::string number = std::to_string(::getpid()) + "-" + std::to_string(++count);
  Ended all;
  for (const Step& step : row.steps) {
    const Ended one = time_step(step, number, null_fd, error_fd);
    if (step.timed) all.us += one.us;
    all.status = one.status;
    if (one.status != 0) break;
  }
  return all;
}

// The first line of what the command says on stderr, for a row that does not work here.
std::string complaint(const Row& row, int null_fd) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {};
  time_once(row, null_fd, ends[1]);
  char text[400];
  const ssize_t size = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  ::close(ends[1]);
  return split(std::string(text, size > 0 ? static_cast<std::size_t>(size) : 0), '\n')[0];
}

void warm_up(std::vector<Row>& rows, const Options& options, int null_fd) {
  for (Row& row : rows)
    for (int i = 0; i < options.warmup && row.failure.empty(); ++i) {
      const Ended ended = time_once(row, null_fd, null_fd);
      if (ended.status == 0) continue;
      row.failure = complaint(row, null_fd);
      if (row.failure.empty()) row.failure = "wait status " + std::to_string(ended.status);
    }
}

void measure(std::vector<Row>& rows, const Options& options, int null_fd) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].failure.empty()) order.push_back(i);
  std::mt19937 random(options.seed);
  for (int round = 0; round < options.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t index : order) {
      const Ended ended = time_once(rows[index], null_fd, null_fd);
      if (ended.status != 0) die("\"" + rows[index].name + "\" worked and then failed, in round " + std::to_string(round));
      rows[index].us.push_back(ended.us);
    }
  }
}

int whole_number(const std::string& option, std::string_view text) {
  int value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || value < 1) die(option + " wants a number of at least 1");
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : (die(word + " wants a value"), std::string()); };
    if (word == "--rounds")
      options.rounds = whole_number(word, value());
    else if (word == "--warmup")
      options.warmup = whole_number(word, value());
    else if (word == "--seed")
      options.seed = static_cast<unsigned>(whole_number(word, value()));
    else if (word == "--label")
      options.label = value();
    else if (word == "--json")
      options.json = value();
    else if (word == "--against")
      options.against.push_back(value());
    else if (!word.starts_with('-') && options.rows.empty())
      options.rows = word;
    else
      die(kUsage);
  }
  if (options.rows.empty()) die(kUsage);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::vector<Row> rows = read_rows(options.rows);
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0) die("cannot open /dev/null");
  warm_up(rows, options, null_fd);
  measure(rows, options, null_fd);
  const Report report{options.label, options.rounds, options.against};
  std::fputs(table(rows, report).c_str(), stdout);
  if (options.json.empty()) return 0;
  std::ofstream file(options.json);
  file << json(rows, report);
  if (!file.flush()) die("cannot write " + options.json);
  return 0;
}
