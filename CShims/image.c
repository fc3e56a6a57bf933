#include "mp_image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

// The segments alone tell most builds apart; the build id, where the linker was asked for one, all of them. `notes` returns what a note
// segment holds, as that lies elsewhere in memory than in a file, or NULL.
static uint64_t fingerprint_of(const ElfW(Phdr) *headers, size_t count, const void *(*notes)(const ElfW(Phdr) *, const void *), const void *place) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *h = &headers[i];
        hash = hash_bytes(hash, &h->p_type, sizeof h->p_type);
        hash = hash_bytes(hash, &h->p_flags, sizeof h->p_flags);
        hash = hash_bytes(hash, &h->p_vaddr, sizeof h->p_vaddr);
        hash = hash_bytes(hash, &h->p_filesz, sizeof h->p_filesz);
        if (h->p_type != PT_NOTE || h->p_filesz > 4096) continue;
        const void *content = notes(h, place);
        if (content) hash = hash_bytes(hash, content, h->p_filesz);
    }
    return hash;
}

static const void *notes_in_memory(const ElfW(Phdr) *header, const void *base) {
    return (const void *)((uintptr_t)base + header->p_vaddr);
}

static uint64_t fingerprint_of_loaded(const struct dl_phdr_info *info) {
    return fingerprint_of(info->dlpi_phdr, info->dlpi_phnum, notes_in_memory, (const void *)info->dlpi_addr);
}

typedef struct {
    uintptr_t address;
    size_t length;
    ElfW(Word) protection;
    const char *name;
    uint64_t fingerprint;
    bool first;  // the linker lists the main executable first
    bool found;
    mp_image *image;
} search;

static void fill(search *s, const struct dl_phdr_info *info, bool is_main) {
    s->found = true;
    s->image->base = info->dlpi_addr;
    s->image->name = is_main ? "" : info->dlpi_name;
    s->image->fingerprint = fingerprint_of_loaded(info);
    s->image->is_main = is_main;
}

static int visit_for_address(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    search *s = data;
    bool is_main = s->first;
    s->first = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_LOAD || (h->p_flags & s->protection) != s->protection) continue;
        uintptr_t start = info->dlpi_addr + h->p_vaddr;
        if (s->address < start || s->address - start >= h->p_filesz) continue;
        if (s->length > h->p_filesz - (s->address - start)) continue;
        fill(s, info, is_main);
        return 1;
    }
    return 0;
}

bool mp_image_containing(uintptr_t address, size_t length, int protection, mp_image *image) {
    search s = {.address = address, .length = length, .protection = (ElfW(Word))protection, .first = true, .image = image};
    dl_iterate_phdr(visit_for_address, &s);
    return s.found;
}

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int visit_for_name(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    search *s = data;
    bool is_main = s->first;
    s->first = false;
    if (is_main != (s->name[0] == '\0')) return 0;
    if (!is_main && strcmp(file_name(info->dlpi_name), file_name(s->name)) != 0) return 0;
    if (fingerprint_of_loaded(info) != s->fingerprint) return 0;
    fill(s, info, is_main);
    return 1;
}

bool mp_image_named(const char *name, uint64_t fingerprint, mp_image *image) {
    search s = {.name = name, .fingerprint = fingerprint, .first = true, .image = image};
    dl_iterate_phdr(visit_for_name, &s);
    return s.found;
}

// MARK: Symbols

// A mapped file, and the bounds that every offset found in it is checked against: it may have been replaced by anything since it was loaded.
typedef struct {
    const unsigned char *bytes;
    size_t size;
} mapped_file;

static const void *within(const mapped_file *file, uint64_t offset, uint64_t count) {
    return offset <= file->size && count <= file->size - offset ? file->bytes + offset : NULL;
}

static const void *notes_in_file(const ElfW(Phdr) *header, const void *file) {
    return within(file, header->p_offset, header->p_filesz);
}

// A table in the file, aligned as its entries need it; NULL where there is no room for it.
static const void *table_at(const mapped_file *file, uint64_t offset, uint64_t size) {
    return offset % _Alignof(ElfW(Ehdr)) == 0 ? within(file, offset, size) : NULL;
}

// Whether the file still is what was loaded, so that its symbols hold for what is in memory.
static bool is_file_of(const mapped_file *file, const mp_image *image) {
    const ElfW(Ehdr) *header = table_at(file, 0, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phentsize != sizeof(ElfW(Phdr))) return false;
    const ElfW(Phdr) *headers = table_at(file, header->e_phoff, (uint64_t)header->e_phnum * sizeof *headers);
    return headers && fingerprint_of(headers, header->e_phnum, notes_in_file, file) == image->fingerprint;
}

static const char *symbol_in(const mapped_file *file, uintptr_t offset) {
    const ElfW(Ehdr) *header = table_at(file, 0, sizeof *header);
    if (!header || header->e_shentsize != sizeof(ElfW(Shdr))) return NULL;
    const ElfW(Shdr) *sections = table_at(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof *sections);
    if (!sections) return NULL;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const ElfW(Shdr) *table = &sections[i];
        if (table->sh_type != SHT_SYMTAB || table->sh_link >= header->e_shnum) continue;
        const ElfW(Shdr) *strings = &sections[table->sh_link];
        const ElfW(Sym) *symbols = table_at(file, table->sh_offset, table->sh_size);
        const char *names = within(file, strings->sh_offset, strings->sh_size);
        if (!symbols || !names || strings->sh_size == 0 || names[strings->sh_size - 1] != '\0') continue;
        for (size_t k = 0; k < table->sh_size / sizeof *symbols; k++) {
            const ElfW(Sym) *s = &symbols[k];
            // The low half of st_info is the type, on 32 and on 64 bits.
            if ((s->st_info & 0xf) != STT_FUNC || s->st_name >= strings->sh_size) continue;
            if (offset >= s->st_value && offset - s->st_value < s->st_size) return names + s->st_name;
        }
    }
    return NULL;
}

size_t mp_image_symbol(uintptr_t address, char *buffer, size_t capacity) {
    mp_image image;
    if (capacity == 0 || !mp_image_containing(address, 1, 0, &image)) return 0;
    int saved = errno;
    size_t length = 0;
    int descriptor = open(image.is_main ? "/proc/self/exe" : image.name, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (bytes != MAP_FAILED) {
            mapped_file file = {bytes, (size_t)status.st_size};
            const char *name = is_file_of(&file, &image) ? symbol_in(&file, address - image.base) : NULL;
            if (name) {
                length = strlen(name);
                if (length >= capacity) length = capacity - 1;
                memcpy(buffer, name, length);
                buffer[length] = '\0';
            }
            munmap(bytes, file.size);
        }
    }
    if (descriptor >= 0) close(descriptor);
    errno = saved;
    return length;
}

bool mp_image_is_mapped(uintptr_t address, size_t length) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (length == 0 || address > UINTPTR_MAX - length - page) return false;
    uintptr_t start = address & ~(page - 1);
    for (; start < address + length; start += page) {
        unsigned char resident;
        int saved = errno;
        int result = mincore((void *)start, page, &resident);
        errno = saved;
        if (result != 0) return false;
    }
    return true;
}
