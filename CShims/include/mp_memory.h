// memory
#ifndef MP_MEMORY_H
#define MP_MEMORY_H

#endif
