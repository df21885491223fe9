#include "cli/rootfs_verb.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "cli/output.h"
#include "rootfs/store.h"

namespace clawrun::cli {

namespace {

using rootfs::Root;
using rootfs::Stores;
using Words = std::vector<std::string_view>;

constexpr std::string_view kHelp =
    "Usage: clawrun rootfs list [--json|--quiet]\n"
    "       clawrun rootfs path NAME\n"
    "       clawrun rootfs rm NAME...\n"
    "\n"
    "Shows and removes the root filesystems that `clawrun exec --rootfs NAME` finds by name.\n"
    "rootfs-scripts/alpine, debian, busybox, from-image, python, node and cc make them.\n"
    "\n"
    "  list    all of them; --json as an array of objects, --quiet the names only\n"
    "  path    the directory of one\n"
    "  rm      removes them from the store\n"
    "\n"
    "See clawrun-rootfs(1).\n";

constexpr std::array<std::string_view, 7> kColumns = {"NAME", "SCRIPT", "VERSION", "ARCH", "SIZE", "MADE", "PATH"};
using Row = std::array<std::string, kColumns.size()>;

Failure usage_error(std::string message, std::string_view usage) {
  return fail(ErrorKind::kUsage, std::move(message) + " (usage: clawrun rootfs " + std::string(usage) + ")");
}

// The names after `path` and `rm`; a word that looks like an option is none.
Result<Words> names_of(std::span<char* const> args, std::string_view usage) {
  Words names;
  for (const std::string_view word : args) {
    if (word == "--") continue;
    if (word.starts_with('-')) return usage_error("unknown option " + quoted(word), usage);
    names.push_back(word);
  }
  if (names.empty()) return usage_error("the name of a root filesystem is missing", usage);
  return names;
}

std::uint64_t size_bytes(const Root& root) {
  const auto kib = parse_unsigned(root.value("size_kib"), UINT64_MAX / 1024);
  return kib ? *kib * 1024 : 0;
}

Row row_of(const Root& root) {
  const std::uint64_t size = size_bytes(root);
  const auto shown = [&](std::string_view key) {
    const std::string_view value = root.value(key);
    return value.empty() ? std::string("-") : printable(value);
  };
  return Row{root.link_name.empty() ? root.name : root.name + " -> " + root.link_name,
             shown("script"),
             shown("version"),
             shown("arch"),
             size == 0 ? "-" : format_size(size),
             shown("date").substr(0, std::string_view("2000-01-01").size()),
             printable(root.path)};
}

std::string table_of(const std::vector<Root>& roots) {
  std::vector<Row> rows(1);
  std::ranges::copy(kColumns, rows.front().begin());
  for (const Root& root : roots) rows.push_back(row_of(root));
  std::array<std::size_t, kColumns.size()> widths = {};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    text += row.back() + "\n";
  }
  return text;
}

std::string json_of(const Root& root) {
  std::string text = "  {\"name\": " + json_quoted(root.name) + ", \"path\": " + json_quoted(root.path);
  text += ", \"link\": " + (root.link_name.empty() ? "null" : json_quoted(root.link_name));
  for (const std::string_view key : {"script", "version", "arch", "source", "sha256", "date"})
    text += ", \"" + std::string(key) + "\": " + json_quoted(root.value(key));
  text += ", \"packages\": [";
  std::string_view separator;
  for (const std::string_view package : split(root.value("packages"), ' ')) {
    if (package.empty()) continue;
    text += std::string(separator) + json_quoted(package);
    separator = ", ";
  }
  return text + "], \"size_bytes\": " + std::to_string(size_bytes(root)) + "}";
}

std::string json_of(const std::vector<Root>& roots) {
  std::string text = "[";
  for (const Root& root : roots) text += (text.size() == 1 ? "\n" : ",\n") + json_of(root);
  return text + (roots.empty() ? "]\n" : "\n]\n");
}

Result<int> list(std::span<char* const> args, const Stores& stores) {
  constexpr std::array<std::string_view, 2> kOptions = {"--json", "--quiet"};
  constexpr std::string_view kUsage = "list [--json|--quiet]";
  std::string_view form;
  for (const std::string_view word : args) {
    if (!word.starts_with('-')) return usage_error("unexpected word " + quoted(word), kUsage);
    if (std::ranges::find(kOptions, word) == kOptions.end())
      return usage_error("unknown option " + quoted(word) + did_you_mean(word, kOptions), kUsage);
    if (!form.empty() && form != word) return usage_error("--json and --quiet exclude each other", kUsage);
    form = word;
  }
  const std::vector<Root> roots = TRY(rootfs::list(stores));
  std::string text;
  if (form == "--json") {
    text = json_of(roots);
  } else if (form == "--quiet") {
    for (const Root& root : roots) text += root.name + "\n";
  } else if (roots.empty()) {
    text = "no root filesystems in " + join(stores, " or ") + "; rootfs-scripts/ make them\n";
  } else {
    text = table_of(roots);
  }
  TRY(write_out(text));
  return 0;
}

Result<int> path(std::span<char* const> args, const Stores& stores) {
  const Words names = TRY(names_of(args, "path NAME"));
  if (names.size() > 1) return usage_error("unexpected word " + quoted(names[1]), "path NAME");
  const std::string directory = TRY(rootfs::find(names.front(), stores));
  TRY(write_out(directory + "\n"));
  return 0;
}

Result<int> remove(std::span<char* const> args, const Stores& stores) {
  const Words names = TRY(names_of(args, "rm NAME..."));
  for (const std::string_view name : names) TRY(rootfs::remove(name, stores));
  return 0;
}

struct Verb {
  std::string_view name;
  Result<int> (*run)(std::span<char* const> args, const Stores& stores);
};

constexpr std::array<Verb, 3> kVerbs = {{{"list", list}, {"path", path}, {"rm", remove}}};

}  // namespace

Result<int> rootfs_verb(std::span<char* const> args) {
  if (args.empty()) return usage_error("a word is missing", "list|path|rm");
  const std::string_view word = args.front();
  if (std::ranges::find(args, std::string_view("--help"), [](const char* arg) { return std::string_view(arg); }) != args.end()) {
    TRY(write_out(kHelp));
    return 0;
  }
  const Stores stores = TRY(rootfs::stores_of_caller());
  std::array<std::string_view, kVerbs.size()> known;
  for (std::size_t i = 0; i < kVerbs.size(); ++i) {
    if (kVerbs[i].name == word) return kVerbs[i].run(args.subspan(1), stores);
    known[i] = kVerbs[i].name;
  }
  return usage_error("unknown word " + quoted(word) + " after rootfs" + did_you_mean(word, known), "list|path|rm");
}

}  // namespace clawrun::cli
