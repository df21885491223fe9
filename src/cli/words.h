// The words of a verb that has few options of its own: a table of them, one way to read them, one form of help.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace clawrun::cli {

struct WordOption {
  std::string_view name;     // without dashes
  std::string_view metavar;  // "" where it takes no value
  std::string_view help;
  char letter = 0;  // -q, or 0
};

struct WordForm {
  std::string_view verb;
  std::string_view operands;  // "ID", or "" where there are none
  std::string_view text;      // what it does, in whole lines
  std::vector<WordOption> options;
};

struct Words {
  std::vector<std::pair<std::string_view, std::string_view>> options;  // name, value; in the order given
  std::vector<std::string_view> operands;

  [[nodiscard]] bool has(std::string_view name) const;
};

// --name VALUE, --name=VALUE and -name as with exec; options may stand before and behind the operand; -- ends them. --help and
// -h are options of every verb. An operand is required, or refused, as the form has it, unless help is wanted.
Result<Words> read_words(const WordForm& form, std::span<char* const> args);

std::string help_of(const WordForm& form);

}  // namespace clawrun::cli
