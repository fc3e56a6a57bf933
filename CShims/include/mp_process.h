// process
#ifndef MP_PROCESS_H
#define MP_PROCESS_H

#endif
