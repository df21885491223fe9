#include "seccomp/interpret.h"

#include <array>
#include <cstring>

#include "seccomp/table.h"

namespace clawrun::seccomp {

namespace {

struct Machine {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory{};
};

Failure broken(std::size_t at, std::string_view what) {
  return fail(ErrorKind::kInvalid, "seccomp filter, instruction " + std::to_string(at) + ": " + std::string(what));
}

bool load(const sock_filter& step, const seccomp_data& data, Machine& machine) {
  switch (step.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      if (step.k % sizeof(std::uint32_t) != 0 || step.k >= sizeof(data)) return false;
      std::memcpy(&machine.a, reinterpret_cast<const char*>(&data) + step.k, sizeof(machine.a));
      return true;
    case BPF_LD | BPF_W | BPF_LEN:
      machine.a = sizeof(data);
      return true;
    case BPF_LDX | BPF_W | BPF_LEN:
      machine.x = sizeof(data);
      return true;
    case BPF_LD | BPF_IMM:
      machine.a = step.k;
      return true;
    case BPF_LDX | BPF_IMM:
      machine.x = step.k;
      return true;
    case BPF_MISC | BPF_TAX:
      machine.x = machine.a;
      return true;
    case BPF_MISC | BPF_TXA:
      machine.a = machine.x;
      return true;
    default:
      break;
  }
  if (step.k >= BPF_MEMWORDS) return false;
  switch (step.code) {
    case BPF_LD | BPF_MEM:
      machine.a = machine.memory[step.k];
      return true;
    case BPF_LDX | BPF_MEM:
      machine.x = machine.memory[step.k];
      return true;
    case BPF_ST:
      machine.memory[step.k] = machine.a;
      return true;
    case BPF_STX:
      machine.memory[step.k] = machine.x;
      return true;
    default:
      return false;
  }
}

bool calculate(const sock_filter& step, Machine& machine) {
  const std::uint32_t operand = BPF_SRC(step.code) == BPF_X ? machine.x : step.k;
  switch (BPF_OP(step.code)) {
    case BPF_ADD:
      machine.a += operand;
      return true;
    case BPF_SUB:
      machine.a -= operand;
      return true;
    case BPF_MUL:
      machine.a *= operand;
      return true;
    case BPF_DIV:
      if (operand == 0) return false;
      machine.a /= operand;
      return true;
    case BPF_OR:
      machine.a |= operand;
      return true;
    case BPF_AND:
      machine.a &= operand;
      return true;
    case BPF_XOR:
      machine.a ^= operand;
      return true;
    case BPF_LSH:
      if (operand > 31) return false;
      machine.a <<= operand;
      return true;
    case BPF_RSH:
      if (operand > 31) return false;
      machine.a >>= operand;
      return true;
    case BPF_NEG:
      machine.a = 0U - machine.a;
      return true;
    default:
      return false;
  }
}

// How many instructions the jump passes over, or -1 for an unknown jump.
std::int64_t jump(const sock_filter& step, const Machine& machine) {
  const std::uint32_t operand = BPF_SRC(step.code) == BPF_X ? machine.x : step.k;
  switch (BPF_OP(step.code)) {
    case BPF_JA:
      return step.k;
    case BPF_JEQ:
      return machine.a == operand ? step.jt : step.jf;
    case BPF_JGT:
      return machine.a > operand ? step.jt : step.jf;
    case BPF_JGE:
      return machine.a >= operand ? step.jt : step.jf;
    case BPF_JSET:
      return (machine.a & operand) != 0 ? step.jt : step.jf;
    default:
      return -1;
  }
}

}  // namespace

Result<std::uint32_t> run_filter(std::span<const sock_filter> filter, const seccomp_data& data) {
  Machine machine;
  // Jumps lead forward only, so the program ends.
  for (std::size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& step = filter[at];
    if (step.code == (BPF_RET | BPF_K)) return step.k;
    if (step.code == (BPF_RET | BPF_A)) return machine.a;
    if (BPF_CLASS(step.code) == BPF_JMP) {
      const std::int64_t distance = jump(step, machine);
      if (distance < 0) return broken(at, "an unknown jump");
      at += static_cast<std::size_t>(distance);
    } else if (BPF_CLASS(step.code) == BPF_ALU) {
      if (!calculate(step, machine)) return broken(at, "an impossible calculation");
    } else if (!load(step, data, machine)) {
      return broken(at, "an instruction that seccomp does not allow");
    }
  }
  return broken(filter.size(), "the end without an answer");
}

Result<std::uint32_t> decide(const Compiled& compiled, const seccomp_data& data) {
  std::uint32_t strictest = SECCOMP_RET_ALLOW;
  // The kernel starts at the filter that was loaded last and replaces its answer only by a stricter one.
  for (std::size_t i = compiled.filters.size(); i > 0; --i) {
    const std::uint32_t answer = TRY(run_filter(compiled.filters[i - 1], data));
    if (is_stricter(answer, strictest)) strictest = answer;
  }
  return strictest;
}

}  // namespace clawrun::seccomp
