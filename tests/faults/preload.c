/* Makes reads, writes and syncs of the store's files fail, as a dying disk does. For LD_PRELOAD;
 * built and steered by tests/chaos. Nothing else of the process is touched.
 *
 * HOSTLINE_FAULTS names a control file of 128 bytes that is mapped, so that the test changes its
 * mind while the process runs: text `<what> <when> <error>` at 0, and at 64 the number of faults
 * so far.
 *   what:  fsync | lie (nothing is synced, and no error) | write (nothing is written) |
 *          torn (half is written, then the error) | short (half is written and said so) | read
 *   when:  once | always
 *   error: EIO | ENOSPC
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile char *control;

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_pread64)(int, void *, size_t, off64_t);

__attribute__((constructor)) static void begin(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
    real_read = dlsym(RTLD_NEXT, "read");
    real_pread = dlsym(RTLD_NEXT, "pread");
    real_pread64 = dlsym(RTLD_NEXT, "pread64");
    const char *path = getenv("HOSTLINE_FAULTS");
    int file = path ? open(path, O_RDWR) : -1;
    void *map = file < 0 ? MAP_FAILED : mmap(0, 128, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    if (map != MAP_FAILED) control = map;
}

static int is_of_store(int file) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "/hostline.db") != 0;
}

/* Whether this call is to fail; sets errno. */
static int fails(const char *what, int file) {
    if (!control || control[0] == 0) return 0;
    char text[64], asked[16] = "", when[16] = "", error[16] = "";
    memcpy(text, (const char *)control, 63);
    text[63] = 0;
    if (sscanf(text, "%15s %15s %15s", asked, when, error) != 3) return 0;
    if (strcmp(asked, what) != 0 || !is_of_store(file)) return 0;
    uint32_t *count = (uint32_t *)(control + 64);
    uint32_t before = __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
    if (strcmp(when, "once") == 0 && before > 0) {
        __atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
        return 0;
    }
    errno = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
    return 1;
}

#define SYNC(CALL)                        \
    if (fails("fsync", file)) return -1;  \
    if (fails("lie", file)) return 0;     \
    return CALL;

int fsync(int file) { SYNC(real_fsync(file)) }

int fdatasync(int file) { SYNC(real_fdatasync(file)) }

#define WRITE(CALL, SOME)                                   \
    if (fails("write", file)) return -1;                    \
    if (fails("torn", file)) {                              \
        int error = errno;                                  \
        ssize_t some = SOME;                                \
        (void)some;                                         \
        errno = error;                                      \
        return -1;                                          \
    }                                                       \
    if (fails("short", file)) return size > 1 ? SOME : 0;   \
    return CALL;

ssize_t write(int file, const void *bytes, size_t size) {
    WRITE(real_write(file, bytes, size), real_write(file, bytes, size / 2))
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t at) {
    WRITE(real_pwrite(file, bytes, size, at), real_pwrite(file, bytes, size / 2, at))
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
    WRITE(real_pwrite64(file, bytes, size, at), real_pwrite64(file, bytes, size / 2, at))
}

ssize_t read(int file, void *bytes, size_t size) {
    return fails("read", file) ? -1 : real_read(file, bytes, size);
}

ssize_t pread(int file, void *bytes, size_t size, off_t at) {
    return fails("read", file) ? -1 : real_pread(file, bytes, size, at);
}

ssize_t pread64(int file, void *bytes, size_t size, off64_t at) {
    return fails("read", file) ? -1 : real_pread64(file, bytes, size, at);
}
