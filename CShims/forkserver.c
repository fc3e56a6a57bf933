#include "mp_forkserver.h"
