#include "mp_process.h"
