// A whole filter: a balanced search for the number of the call among ranges that share an answer.
//
// What the kernel does with a filter before it runs it (checks, translation, a dry run for each syscall number:
// seccomp_cache_prepare) grows with its length, and every start of a sandbox pays that. Neighbouring calls mostly share an
// answer, so ranges need a fifth of the comparisons that one for each call would, which is what libseccomp writes.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "seccomp/table.h"

namespace clawrun::seccomp {

// Instructions that end with an answer on each way through; the accumulator may be overwritten.
using Leaf = std::vector<sock_filter>;

// The leaves of a filter, each once; a place in the list stands for the leaf.
class Leaves {
 public:
  std::size_t add(Leaf leaf);
  std::size_t add_answer(std::uint32_t action) { return add({{BPF_RET | BPF_K, 0, 0, action}}); }
  const std::vector<Leaf>& list() const { return leaves_; }

 private:
  std::vector<Leaf> leaves_;
};

// The calls from `first` up to the next range.
struct CallRange {
  std::uint32_t first = 0;
  std::size_t leaf = 0;
};

// One value of seccomp_data.arch. The first range begins at 0.
struct ArchCalls {
  std::uint32_t audit_arch = 0;
  std::vector<CallRange> ranges;
};

// To be called with rising numbers. A range that begins where the last one began replaces it, and neighbours that share a
// leaf become one.
void add_range(std::vector<CallRange>& ranges, std::uint32_t first, std::size_t leaf);

// The architectures are asked for in this order; a call of another one gets the leaf `other_arch`.
std::vector<sock_filter> write_filter(std::span<const ArchCalls> arches, std::span<const Leaf> leaves, std::size_t other_arch);

Result<std::vector<sock_filter>> compile_calls(const Table& table);

}  // namespace clawrun::seccomp
