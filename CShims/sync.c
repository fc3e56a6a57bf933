#include "mp_sync.h"
