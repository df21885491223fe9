// System calls without libc, for code that runs where libc must not: no errno, no TLS, no locks. A negative result is -errno.
#pragma once

#include <asm/unistd.h>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace clawrun::child {

#if defined(__x86_64__)

inline long raw6(long nr, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

inline long raw6(long nr, long a, long b, long c, long d, long e, long f) {
  register long x8 asm("x8") = nr;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}

#else
#error "clawrun knows the system call conventions of x86_64 and aarch64"
#endif

template <typename T>
inline long word(T value) {
  if constexpr (std::is_null_pointer_v<T>)
    return 0;
  else if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<long>(value);
  else
    return static_cast<long>(value);
}

// sys(__NR_openat, AT_FDCWD, path, flags): up to six arguments of integer or pointer type; the rest are zero.
template <typename A = long, typename B = long, typename C = long, typename D = long, typename E = long, typename F = long>
inline long sys(long nr, A a = A{}, B b = B{}, C c = C{}, D d = D{}, E e = E{}, F f = F{}) {
  return raw6(nr, word(a), word(b), word(c), word(d), word(e), word(f));
}

}  // namespace clawrun::child
