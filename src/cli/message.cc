#include "cli/message.h"

#include <string>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::cli {

void write_error(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string lines;
  for (const std::string_view line : split(text, '\n')) lines += "clawrun: " + std::string(line) + "\n";
  // Where even stderr is gone there is nobody to tell.
  (void)sys::write_all(2, lines);
}

}  // namespace clawrun::cli
