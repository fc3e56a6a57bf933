// image
#ifndef MP_IMAGE_H
#define MP_IMAGE_H

#endif
