#include "mp_numa.h"
