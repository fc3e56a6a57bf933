// forkserver
#ifndef MP_FORKSERVER_H
#define MP_FORKSERVER_H

#endif
