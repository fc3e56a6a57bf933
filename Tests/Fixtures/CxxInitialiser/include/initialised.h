#pragma once
#ifdef __cplusplus
extern "C" {
#endif
/// 42 once this image's C++ initialisers have run, else 0.
int initialised_value(void);
#ifdef __cplusplus
}
#endif
