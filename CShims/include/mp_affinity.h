// affinity
#ifndef MP_AFFINITY_H
#define MP_AFFINITY_H

#endif
