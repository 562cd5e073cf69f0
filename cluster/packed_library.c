// Stands in a bundle for a shared library that lies packed beside it (cluster/bundle.sh): of oneDNN's 44 MB 11 are left. It has
// the functions that the bundle's programs call. The first call of any of them unpacks the library, which takes a fifth of a
// second and as much memory as the library has bytes; from then on a call is one more jump. Who calls none pays nothing.
//
// bundle.sh gives -DPACKED_LIBRARY="\"libdnnl.so.3\"" and packed_functions.h, a line PACKED(index, name) for each function.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define PACKED(index, name) #name,
static const char *const names[] = {
#include "packed_functions.h"
};
#undef PACKED
enum { functions = sizeof names / sizeof names[0], name_room = 4096 };

// Where each function is; null before the first call.
__attribute__((visibility("hidden"))) void *packed_functions[functions];

// As any error of the device: one line and its class's exit code.
static void fail(const char *doing, const char *why) {
    fprintf(stderr,
            "trireme: DeviceError: the bundle's " PACKED_LIBRARY ".gz: cannot %s: %s: copy the bundle again, or make one with "
            "--unpacked-onednn\n",
            doing, why);
    _exit(4);
}

// zlib compares the checksum at the end. False where there was no room.
static int unpack_into(int file) {
    static char piece[1 << 20];
    char path[name_room];
    Dl_info self;
    if (dladdr(packed_functions, &self) == 0 || strlen(self.dli_fname) + sizeof ".gz" > sizeof path)
        fail("be found", "it has no path");
    snprintf(path, sizeof path, "%s.gz", self.dli_fname);
    gzFile packed = gzopen(path, "rb");
    if (packed == NULL) fail("be opened", strerror(errno));
    int got;
    while ((got = gzread(packed, piece, sizeof piece)) > 0) {
        for (int put = 0; put < got;) {
            const ssize_t more = write(file, piece + put, (size_t)(got - put));
            if (more < 0 && errno == EINTR) continue;
            if (more <= 0) {
                gzclose(packed);
                return 0;
            }
            put += (int)more;
        }
    }
    if (gzclose(packed) != Z_OK || got < 0) fail("unpack it", "it is damaged");
    return 1;
}

// Unpacks into a file that has no name any more, and opens what is in it.
static void *open_unpacked(int file) {
    char path[64];
    if (file < 0) return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    void *library = unpack_into(file) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    close(file);
    return library;
}

static void *open_in_memory(void) { return open_unpacked(memfd_create(PACKED_LIBRARY, MFD_CLOEXEC)); }

// For hosts that forbid code in nameless memory.
static void *open_in_folder(void) {
    char path[name_room];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/trireme-XXXXXX", folder != NULL ? folder : "/tmp");
    const int file = mkstemp(path);
    if (file >= 0) unlink(path);
    return open_unpacked(file);
}

static void unpack(void) {
    void *library = open_in_memory();
    if (library == NULL) library = open_in_folder();
    if (library == NULL) {
        const char *why = dlerror();
        fail("be loaded from memory or from $TMPDIR", why != NULL ? why : strerror(errno));
    }
    for (int i = 0; i < functions; ++i) {
        packed_functions[i] = dlsym(library, names[i]);
        if (packed_functions[i] == NULL) fail("be used", dlerror());
    }
}

__attribute__((visibility("hidden"))) void packed_unpack_once(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, unpack);
}

// Arguments of any kind pass through: those in registers are kept while the library is unpacked, the others lie untouched.
#define PACKED(index, name)                                                       \
    __asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n"   \
            "    movq packed_functions+8*" #index "(%rip), %r11\n"                \
            "    testq %r11, %r11\n    je 1f\n    jmp *%r11\n"                    \
            "1:  pushq $" #index "\n    jmp packed_first_call\n"                  \
            ".size " #name ", .-" #name "\n");
#include "packed_functions.h"
__asm__(
    ".text\n.type packed_first_call, @function\npacked_first_call:\n"
    "    pushq %rax\n    pushq %rdi\n    pushq %rsi\n    pushq %rdx\n    pushq %rcx\n    pushq %r8\n    pushq %r9\n"
    "    subq $136, %rsp\n"
    "    movups %xmm0, (%rsp)\n    movups %xmm1, 16(%rsp)\n    movups %xmm2, 32(%rsp)\n    movups %xmm3, 48(%rsp)\n"
    "    movups %xmm4, 64(%rsp)\n    movups %xmm5, 80(%rsp)\n    movups %xmm6, 96(%rsp)\n    movups %xmm7, 112(%rsp)\n"
    "    call packed_unpack_once\n"
    "    movups (%rsp), %xmm0\n    movups 16(%rsp), %xmm1\n    movups 32(%rsp), %xmm2\n    movups 48(%rsp), %xmm3\n"
    "    movups 64(%rsp), %xmm4\n    movups 80(%rsp), %xmm5\n    movups 96(%rsp), %xmm6\n    movups 112(%rsp), %xmm7\n"
    "    addq $136, %rsp\n"
    "    popq %r9\n    popq %r8\n    popq %rcx\n    popq %rdx\n    popq %rsi\n    popq %rdi\n    popq %rax\n"
    "    popq %r11\n"
    "    leaq packed_functions(%rip), %r10\n    movq (%r10,%r11,8), %r11\n    jmp *%r11\n"
    ".size packed_first_call, .-packed_first_call\n"
    ".section .note.GNU-stack,\"\",@progbits\n");
