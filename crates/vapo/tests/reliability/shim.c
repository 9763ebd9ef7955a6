/* Preloaded into a process whose files are to fail (Linux and glibc).
 *
 * Counts the calls that change something in FAULT_DIRECTORY, or with FAULT_READS those that read something there, and
 * appends "<number> <call> <path>" for each to FAULT_LOG. Call number FAULT_CALL fails with the error number FAULT_ERRNO;
 * if that is 0, the process is killed instead. With FAULT_LASTING, the first half of a write is still written, and all
 * later calls fail, as on a disk that fills up. The wall clock moves by FAULT_CLOCK_STEP seconds with every reading.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_long calls;
static atomic_long readings;

static long number(const char *name)
{
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

static int is_watched(const char *path)
{
    const char *directory = getenv("FAULT_DIRECTORY");
    size_t length = directory ? strlen(directory) : 0;
    return length && strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Whether call number `call` fails. */
static int is_due(long call)
{
    long due = number("FAULT_CALL");
    return due && (call == due || (call > due && number("FAULT_LASTING")));
}

/* Counts a call; 0 if calls of its kind or with its path are not counted. */
static long counted(const char *call, int reads, const char *path)
{
    if (!!getenv("FAULT_READS") != reads || !is_watched(path))
        return 0;
    long count = atomic_fetch_add(&calls, 1) + 1;
    const char *log = getenv("FAULT_LOG");
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld %s %s\n", count, call, path);
    long file = log ? syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    if (file >= 0) {
        syscall(SYS_write, file, line, length);
        syscall(SYS_close, file);
    }
    return count;
}

/* What a due call does: sets the error, or kills. */
static void fail(void)
{
    errno = (int)number("FAULT_ERRNO");
    if (errno == 0)
        raise(SIGKILL);
}

static int fails(const char *call, int reads, const char *path)
{
    if (!is_due(counted(call, reads, path)))
        return 0;
    fail();
    return 1;
}

/* The path of a name in an open directory. */
static const char *path_at(int directory, const char *name, char *path)
{
    char link[64];
    if (name[0] == '/' || directory == AT_FDCWD)
        return name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0)
        return name;
    snprintf(path + length, name[0] ? PATH_MAX : 1, "/%s", name);
    return path;
}

static const char *path_of(int file, char *path)
{
    return path_at(file, "", path);
}

static int open_at(int directory, const char *name, int flags, mode_t mode)
{
    char path[2 * PATH_MAX];
    int reads = (flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT);
    if (fails("open", reads, path_at(directory, name, path)))
        return -1;
    return NEXT(openat)(directory, name, flags, mode);
}

static mode_t mode_in(int flags, va_list rest)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...)                      \
    {                                                               \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = mode_in(flags, rest);                         \
        va_end(rest);                                               \
        return open_at(AT_FDCWD, path, flags, mode);        \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                \
    int name(int directory, const char *path, int flags, ...)       \
    {                                                               \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = mode_in(flags, rest);                         \
        va_end(rest);                                               \
        return open_at(directory, path, flags, mode);       \
    }
OPENAT(openat64)

ssize_t write(int file, const void *bytes, size_t count)
{
    char path[2 * PATH_MAX];
    long call = counted("write", 0, path_of(file, path));
    if (is_due(call) && call == number("FAULT_CALL") && number("FAULT_LASTING") && count > 1)
        return NEXT(write)(file, bytes, count / 2);
    if (is_due(call)) {
        fail();
        return -1;
    }
    return NEXT(write)(file, bytes, count);
}

ssize_t read(int file, void *bytes, size_t count)
{
    char path[2 * PATH_MAX];
    return fails("read", 1, path_of(file, path)) ? -1 : NEXT(read)(file, bytes, count);
}

/* A call on an open file, and one on a path. */
#define ON_FILE(name, parameters, ...)                              \
    int name parameters                                             \
    {                                                               \
        char path[2 * PATH_MAX];                                    \
        return fails(#name, 0, path_of(file, path)) ? -1 : NEXT(name)(__VA_ARGS__); \
    }
#define ON_PATH(name, parameters, ...)                              \
    int name parameters { return fails(#name, 0, path) ? -1 : NEXT(name)(__VA_ARGS__); }

ON_FILE(fsync, (int file), file)
ON_FILE(fdatasync, (int file), file)
ON_FILE(ftruncate64, (int file, off64_t length), file, length)
ON_PATH(mkdir, (const char *path, mode_t mode), path, mode)
ON_PATH(unlink, (const char *path), path)
ON_PATH(rmdir, (const char *path), path)

int rename(const char *from, const char *path)
{
    return fails("rename", 0, path) ? -1 : NEXT(rename)(from, path);
}

int unlinkat(int directory, const char *name, int flags)
{
    char path[2 * PATH_MAX];
    return fails("unlinkat", 0, path_at(directory, name, path)) ? -1 : NEXT(unlinkat)(directory, name, flags);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = NEXT(clock_gettime)(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += atomic_fetch_add(&readings, 1) * number("FAULT_CLOCK_STEP");
    return result;
}
