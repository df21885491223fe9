// The program of init, as bytes.
#pragma once

#include <span>

namespace clawrun::init {

// A static ELF executable without an interpreter; lives as long as the process.
std::span<const unsigned char> image();

}  // namespace clawrun::init
