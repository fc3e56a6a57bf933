// sync
#ifndef MP_SYNC_H
#define MP_SYNC_H

#endif
