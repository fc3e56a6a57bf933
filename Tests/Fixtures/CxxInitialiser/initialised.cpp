#include "initialised.h"

#include <cerrno>
#include <string>
#include <sys/resource.h>

// Not constant, so that only code that runs before main can have set it.
static std::string text = std::to_string(42);

int initialised_value(void) { return text.empty() ? 0 : std::stoi(text); }

int limit_processes(int pid, int most) {
    struct rlimit limit = {rlim_t(most), 1000};
    return prlimit(pid, RLIMIT_NPROC, &limit, nullptr) == 0 ? 0 : errno;
}
