#pragma once
#ifdef __cplusplus
extern "C" {
#endif
/// 42 once this image's C++ initialisers have run, else 0.
int initialised_value(void);
/// Limits how many processes and threads the user of process `pid` may have when that process forks. Returns 0, or an errno value.
int limit_processes(int pid, int most);
#ifdef __cplusplus
}
#endif
