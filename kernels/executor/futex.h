// Sleeping until a number changes.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace graphopt {

// Returns once `number` may be other than `seen`.
inline void sleep_while(std::atomic<uint32_t>& number, uint32_t seen) {
#ifdef __linux__
  syscall(SYS_futex, &number, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
#else
  number.wait(seen);
#endif
}

inline void wake_all(std::atomic<uint32_t>& number) {
#ifdef __linux__
  syscall(SYS_futex, &number, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#else
  number.notify_all();
#endif
}

// What a thread does between two looks at a number.
inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace graphopt
