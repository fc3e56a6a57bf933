// numa
#ifndef MP_NUMA_H
#define MP_NUMA_H

#endif
