#include "mp_memory.h"
