#include "executor/mapped_file.h"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/failure.h"

namespace graphopt {
namespace {

[[noreturn]] void fail(const char* path) {
  const int error = errno;
  throw Failure(GK_SYSTEM_ERROR, std::string(path) + ": " + std::generic_category().message(error));
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

}  // namespace

MappedFile::MappedFile(const char* path) {
  const Descriptor file = {open(path, O_RDONLY | O_CLOEXEC)};
  struct stat found;
  if (file.number < 0 || fstat(file.number, &found) != 0) fail(path);
  if (!S_ISREG(found.st_mode)) throw Failure(GK_SYSTEM_ERROR, std::string(path) + ": is no file");
  if (found.st_size == 0) return;
  void* data = mmap(nullptr, static_cast<size_t>(found.st_size), PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) fail(path);
  data_ = static_cast<char*>(data);
  size_ = static_cast<size_t>(found.st_size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace graphopt
