#include "pool/driver.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::pool {

namespace {

// Errors are printed and turned into exit statuses as `python3 -c` does. What it skips at the end is the taking apart of every
// module, which costs milliseconds and does nothing that the end of the process does not. What the code will go through is gone
// through once before, so that its pages are there.
constexpr const char* kPython = R"py(
def _clawrun():
    import os, sys, atexit
    space = sys.modules["__main__"].__dict__
    del space["_clawrun"]
    prime = sys.argv[1]
    sys.argv[:] = ["-c"]
    if prime:
        exec(compile(prime, "<prime>", "exec", dont_inherit=True), space)
    try:
        exec(compile("print(end='', flush=True)\nraise ValueError", "", "exec"), {})
    except ValueError:
        pass
    os.pread(3, 1, 0)
    os.write(4, b"r")
    os.close(4)
    os.read(0, 1)
    data = os.pread(3, os.fstat(3).st_size, 0)
    os.close(3)
    while data[:1] != b"\0":
        variable, _, data = data.partition(b"\0")
        name, _, value = variable.partition(b"=")
        os.environb[name] = value
    status = 0
    try:
        exec(compile(data[1:], "<string>", "exec", dont_inherit=True), space)
    except SystemExit as end:
        status = end.code
        if status is None:
            status = 0
        elif not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        kind, value, trace = sys.exc_info()
        value = value.with_traceback(trace.tb_next)
        sys.excepthook(kind, value, value.__traceback__)
        status = 130 if kind is KeyboardInterrupt else 1
    threading = sys.modules.get("threading")
    if threading:
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream:
                stream.flush()
        except BaseException:
            status = status or 120
    os._exit(status & 255)
_clawrun()
)py";

constexpr const char* kNode = R"js(
{
  const fs = require('fs'), vm = require('vm');
  const prime = process.argv.splice(1)[0];
  globalThis.require = require;
  if (prime) vm.runInThisContext(prime, { filename: '[prime]' });
  setImmediate(() => {
    fs.writeSync(4, 'r');
    fs.closeSync(4);
    fs.readSync(0, Buffer.alloc(1), 0, 1, null);
    let data = fs.readFileSync(3), at = 0;
    fs.closeSync(3);
    while (data[at] !== 0) {
      const end = data.indexOf(0, at), equals = data.indexOf(61, at);
      process.env[data.toString('utf8', at, equals)] = data.toString('utf8', equals + 1, end);
      at = end + 1;
    }
    vm.runInThisContext(data.toString('utf8', at + 1), { filename: '[eval]' });
  });
}
)js";

// The line is taken byte by byte, so that nothing after it is.
constexpr const char* kShell =
    "eval \"$1\"; shift; printf r >&4; exec 4>&-; IFS= read -r clawrun; unset clawrun; . /proc/self/fd/3";

std::vector<std::string> python_command(const std::string& interpreter, const std::string& prime) {
  return {interpreter, "-c", kPython, prime};
}

std::vector<std::string> node_command(const std::string& interpreter, const std::string& prime) {
  return {interpreter, "-e", kNode, "--", prime};
}

std::vector<std::string> shell_command(const std::string& interpreter, const std::string& prime) {
  return {interpreter, "-c", kShell, "sh", prime};
}

// Each variable with its NUL, then one more, then the code.
Result<std::string> compose_lines(std::span<const std::string> variables, std::string_view code) {
  std::string data;
  for (const std::string& variable : variables) {
    data += variable;
    data += '\0';
  }
  data += '\0';
  data += code;
  return data;
}

bool is_shell_name(std::string_view name) {
  const auto is_part = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, is_part);
}

// All before the first line of the code, whose numbers stay true.
Result<std::string> compose_shell(std::span<const std::string> variables, std::string_view code) {
  if (code.find('\0') != std::string_view::npos) return fail(ErrorKind::kInvalid, "code: a NUL byte, which no shell takes");
  std::string data = "exec 3<&-; ";
  for (const std::string& variable : variables) {
    const std::size_t equals = variable.find('=');
    const std::string name = variable.substr(0, equals);
    if (!is_shell_name(name)) return fail(ErrorKind::kInvalid, "env: " + quoted(name) + " is no name of a shell variable");
    data += "export " + name + "='";
    for (const char c : variable.substr(equals + 1)) data += c == '\'' ? std::string("'\\''") : std::string(1, c);
    data += "'; ";
  }
  data += code;
  data += '\n';
  return data;
}

constexpr Driver kDrivers[] = {
    {"python3", python_command, compose_lines},
    {"node", node_command, compose_lines},
    {"sh", shell_command, compose_shell},
};

}  // namespace

std::string known_interpreters() {
  std::string names;
  for (const Driver& driver : kDrivers) names += (names.empty() ? "" : ", ") + std::string(driver.name);
  return names + ", or the path of one of them inside";
}

Result<const Driver*> find_driver(std::string_view interpreter) {
  const std::size_t slash = interpreter.rfind('/');
  std::string_view name = slash == std::string_view::npos ? interpreter : interpreter.substr(slash + 1);
  // python3.11
  if (name.starts_with("python3.")) name = "python3";
  for (const Driver& driver : kDrivers)
    if (driver.name == name) return &driver;
  return fail(ErrorKind::kInvalid, quoted(interpreter) + " is not known: " + known_interpreters());
}

}  // namespace clawrun::pool
