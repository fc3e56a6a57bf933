#include "mp_affinity.h"
