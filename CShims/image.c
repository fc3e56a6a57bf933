#include "mp_image.h"
