// Runs the tests named on the command line, or all.
#include <cstring>

#include "check.h"

int g_failures = 0;

#define TEST(name) void test_##name();
#include "tests.def"
#undef TEST

namespace {

struct Test {
  const char* name;
  void (*run)();
};

constexpr Test kTests[] = {
#define TEST(name) {#name, &test_##name},
#include "tests.def"
#undef TEST
};

bool wanted(const char* name, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return true;
  }
  return argc == 1;
}

}  // namespace

int main(int argc, char** argv) {
  int ran = 0;
  for (const Test& test : kTests) {
    if (!wanted(test.name, argc, argv)) continue;
    const int before = g_failures;
    test.run();
    std::printf("%s %s\n", g_failures == before ? "ok  " : "FAIL", test.name);
    ++ran;
  }
  if (ran == 0) std::fprintf(stderr, "no such test\n");
  return g_failures == 0 && ran > 0 ? 0 : 1;
}
