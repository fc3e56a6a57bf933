// Executable images of this process: which one holds an address, and how to name a place in one so that another process that runs the
// same image, at other addresses, finds it again. Nothing here allocates or keeps state; all of it is safe in a freshly forked child.
#ifndef MP_IMAGE_H
#define MP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One loaded image, as the dynamic linker lists it. Valid until the image is unloaded.
typedef struct {
    uintptr_t base;        // what the linker added to the addresses in the file: the zero of every offset
    const char *name;      // as the linker spells it; "" for the main executable
    uint64_t fingerprint;  // of the build id and the segments: two builds of one library differ, two processes that run one do not
    bool is_main;
} mp_image;

// What a range of addresses must be good for.
enum { MP_IMAGE_READABLE = 4, MP_IMAGE_EXECUTABLE = 1 };

// The image a segment of which, with all of `protection`, holds the `length` bytes at `address`. False when there is none. Only what comes from the
// image's file counts: memory that starts as zeros (.bss) may hold anything by now, as the Swift runtime's first pool of metadata does.
bool mp_image_containing(uintptr_t address, size_t length, int protection, mp_image *image);

// The loaded image with this name and this fingerprint ("" names the main executable). A library counts as the same under another path when its file name is.
bool mp_image_named(const char *name, uint64_t fingerprint, mp_image *image);

// Copies the name of the function that holds `address` to `buffer`, with a zero at its end, and returns its length; 0 when the image has no
// symbol there, or its file cannot be read. Reads the symbol table of the image's *file*, as local functions are in no other: milliseconds, for messages.
size_t mp_image_symbol(uintptr_t address, char *buffer, size_t capacity);

// Whether the `length` bytes at `address` are mapped. Says nothing of protection.
bool mp_image_is_mapped(uintptr_t address, size_t length);

#endif
