// Values of systemd's properties as D-Bus types them, and the text form in which OCI annotations carry them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::cgroup {

// A value is kept as the steps that build it in a message, each a line of the helper's protocol (systemd_protocol.h).
struct UnitValue {
  std::string signature;           // one complete type of the D-Bus specification
  std::vector<std::string> steps;  // "t 123", "s text", "a st" … ".", "r st" … "."
};

struct UnitProperty {
  std::string name;
  UnitValue value;
};

UnitValue unit_bool(bool value);
UnitValue unit_number(char type, std::uint64_t value);  // 'y', 'u' or 't'
UnitValue unit_text(std::string_view text);
// The elements have all the signature `element`, which an empty array has too.
UnitValue unit_array(std::string_view element, std::span<const UnitValue> elements);
UnitValue unit_struct(std::span<const UnitValue> members);

// `org.systemd.property.NAME=TEXT`: the value in GVariant's text format (docs.gtk.org: gvariant-text-format), which crun and runc
// take too: booleans, numbers with or without a type's name before them, strings, arrays and tuples. A NAME that ends in "Sec",
// as in unit files, means the "USec" that D-Bus knows, and its number is of seconds.
Result<UnitProperty> parse_unit_property(std::string_view name, std::string_view text);

}  // namespace clawrun::cgroup
