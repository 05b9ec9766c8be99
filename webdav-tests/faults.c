/* A disk that fails on demand, and one that forgets what was not synced: preloaded into the server under
 * test, which is not changed for it. Stands between the program and the C library for SQLite's files,
 * segments and the folders both lie in.
 *
 * A file in memory shared with the test (FAULTS_CONTROL) says which calls fail and how. Besides, the library
 * remembers for each page that was written since the last sync what the disk holds of it. A failed sync
 * leaves such pages clean but unwritten, as Linux does: a later sync does not write them, unless they were
 * written to again. `evict` lets the cache forget them at once. `cut` takes the disk back to what it holds
 * and ends the process, as a power cut does; what is in memory only is lost. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DB = 1, WAL = 2, SHM = 4, SEG = 8, SEGDIR = 16, DBDIR = 32 };
enum { OPEN = 1, CREATE = 2, READ = 4, WRITE = 8, SYNC = 16, TRUNCATE = 32, UNLINK = 64 };
enum { FAILS = 0, SHORT = 1, STALLS = 2, GROWS = 3 };
enum { PAGE = 4096, FDS = 65536, BUCKETS = 8192 };

/* Written by the test, but for the counters; the order is known to webdav-tests/src/faults.rs. */
struct control {
    volatile uint32_t active, classes, ops, error, kind, after, every, stall_ms, evict, cut;
    volatile uint32_t hits, seen, lost, ready;
};

struct page {
    struct page *next;
    uint64_t nr;
    int dirty; /* a sync will write it; otherwise one has failed to */
    unsigned char disk[PAGE];
};

struct file {
    struct file *next;
    char *path;
    int class, fd, named;
    uint64_t size; /* on the disk */
    struct page *pages[BUCKETS];
};

static struct control *control;
static struct file *files, *at[FDS];
static int folder_class[FDS];
static char *folder_path[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(ret, name, ...) static ret (*real_##name)(__VA_ARGS__)
REAL(int, open64, const char *, int, ...);
REAL(int, openat64, int, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, pread64, int, void *, size_t, off64_t);
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
REAL(ssize_t, read, int, void *, size_t);
REAL(ssize_t, write, int, const void *, size_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, ftruncate64, int, off64_t);
REAL(int, unlink, const char *);
REAL(int, mkdir, const char *, mode_t);

static int ends(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static int class_of(const char *path) {
    if (ends(path, "/sync.db")) return DB;
    if (ends(path, "/sync.db-wal")) return WAL;
    if (ends(path, "/sync.db-shm")) return SHM;
    if (ends(path, ".seg")) return SEG;
    if (ends(path, "/db")) return DBDIR;
    if (ends(path, "/data/seg") || strstr(path, "/data/seg/")) return SEGDIR;
    return 0;
}

/* Whether this call fails now: 0, or the kind of it + 1 with `errno` set. Waits out a stall. */
static int fault(int class, int op, int grows) {
    struct control *c = control;
    if (!c || !c->active || !(c->classes & class) || !(c->ops & op)) return 0;
    if (c->kind == GROWS && !grows) return 0;
    uint32_t nth = __sync_fetch_and_add(&c->seen, 1);
    if (nth < c->after || (nth - c->after) % (c->every ? c->every : 1) != 0) return 0;
    uint32_t hit = __sync_fetch_and_add(&c->hits, 1);
    if (c->kind == STALLS) {
        for (uint32_t waited = 0; waited < c->stall_ms && c->active; waited += 5) usleep(5000);
        return 0;
    }
    errno = c->error;
    return c->kind == SHORT && hit % 2 == 0 ? SHORT + 1 : FAILS + 1;
}

/* ---- what the disk holds; all under the lock ---- */

static uint64_t size_of(int fd) {
    struct stat64 st;
    return fstat64(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* A descriptor of our own to read and write the file by. Those of SQLite's files are never closed: that
 * would take its locks away. */
static int own(struct file *f) {
    if (f->fd < 0) f->fd = real_open64(f->path, O_RDWR | O_CLOEXEC);
    return f->fd;
}

static void give_back(struct file *f) {
    if (f->class == SEG && f->fd >= 0) {
        real_close(f->fd);
        f->fd = -1;
    }
}

static struct page *page_of(struct file *f, uint64_t nr) {
    struct page *p = f->pages[nr % BUCKETS];
    while (p && p->nr != nr) p = p->next;
    return p;
}

/* Notes what the disk holds of these bytes before they are changed. */
static void remember(struct file *f, uint64_t start, uint64_t end) {
    for (uint64_t nr = start / PAGE; nr * PAGE < end; nr++) {
        struct page *p = page_of(f, nr);
        if (!p) {
            p = calloc(1, sizeof *p);
            p->nr = nr;
            p->next = f->pages[nr % BUCKETS];
            f->pages[nr % BUCKETS] = p;
            if (nr * PAGE < f->size && real_pread64(own(f), p->disk, PAGE, nr * PAGE) < 0) abort();
        }
        p->dirty = 1;
    }
}

static void each_page(struct file *f, int (*keep)(struct file *, struct page *)) {
    for (int b = 0; b < BUCKETS; b++)
        for (struct page **link = &f->pages[b]; *link;) {
            struct page *p = *link;
            if (keep(f, p)) {
                link = &p->next;
            } else {
                *link = p->next;
                free(p);
            }
        }
}

static int write_back(struct file *f, struct page *p) {
    uint64_t size = size_of(own(f)), start = p->nr * PAGE;
    if (start < size) {
        size_t len = size - start < PAGE ? size - start : PAGE;
        if (real_pwrite64(own(f), p->disk, len, start) < 0) abort();
    }
    return 0;
}

static int is_lost(struct file *f, struct page *p) {
    (void)f;
    return !p->dirty;
}

static int lose(struct file *f, struct page *p) {
    if (!p->dirty) return 1;
    __sync_fetch_and_add(&control->lost, 1);
    if (control->evict) return write_back(f, p);
    p->dirty = 0;
    return 1;
}

static int drop(struct file *f, struct page *p) {
    (void)f, (void)p;
    return 0;
}

static struct file *file_of(const char *path, int class, int made) {
    struct file *f = files;
    while (f && strcmp(f->path, path) != 0) f = f->next;
    if (!f) {
        f = calloc(1, sizeof *f);
        f->path = strdup(path);
        f->class = class;
        f->fd = -1;
        f->next = files;
        files = f;
        f->size = made ? 0 : size_of(own(f));
        f->named = !made;
    } else if (made) {
        f->size = 0;
        f->named = 0;
    }
    give_back(f);
    return f;
}

static void forget(const char *path) {
    for (struct file **link = &files; *link; link = &(*link)->next) {
        struct file *f = *link;
        if (strcmp(f->path, path) != 0) continue;
        each_page(f, drop);
        f->size = 0;
        if (f->class != SEG) {
            /* SQLite makes its log again under the same name. */
            f->fd = -1;
            return;
        }
        *link = f->next;
        for (int fd = 0; fd < FDS; fd++)
            if (at[fd] == f) at[fd] = NULL;
        free(f->path);
        free(f);
        return;
    }
}

static void name_those_in(const char *folder) {
    size_t len = strlen(folder);
    for (struct file *f = files; f; f = f->next)
        if (strncmp(f->path, folder, len) == 0 && f->path[len] == '/' && !strchr(f->path + len + 1, '/')) f->named = 1;
}

static void cut(void) {
    pthread_mutex_lock(&lock);
    for (struct file *f = files; f; f = f->next) {
        if (!f->named) {
            real_unlink(f->path);
            continue;
        }
        if (own(f) < 0) continue;
        if (real_ftruncate64(f->fd, f->size) != 0) abort();
        each_page(f, write_back);
        real_fsync(f->fd);
        posix_fadvise64(f->fd, 0, 0, POSIX_FADV_DONTNEED);
        give_back(f);
    }
    kill(getpid(), SIGKILL);
}

static void *watch(void *unused) {
    (void)unused;
    for (;; usleep(2000))
        if (control->cut) cut();
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)
    FIND(open64), FIND(openat64), FIND(close), FIND(pread64), FIND(pwrite64), FIND(read), FIND(write), FIND(fsync);
    FIND(fdatasync), FIND(ftruncate64), FIND(unlink), FIND(mkdir);
    const char *path = getenv("FAULTS_CONTROL");
    int fd = path ? real_open64(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    real_close(fd);
    if (memory == MAP_FAILED) return;
    control = memory;
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch, NULL) == 0) control->ready = 1;
}

/* ---- the calls ---- */

static int opened(int fd, const char *path, int class, int made) {
    if (fd < 0 || fd >= FDS) return fd;
    pthread_mutex_lock(&lock);
    if (class & (SEGDIR | DBDIR)) {
        folder_class[fd] = class;
        folder_path[fd] = strdup(path);
    } else if (class != SHM) {
        at[fd] = file_of(path, class, made);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static int open_at(int dir, const char *path, int flags, mode_t mode) {
    int class = control && path[0] == '/' ? class_of(path) : 0;
    if (!class) return real_openat64(dir, path, flags, mode);
    int made = (flags & O_CREAT) && access(path, F_OK) != 0;
    if (fault(class, made ? CREATE : OPEN, made)) return -1;
    return opened(real_openat64(dir, path, flags, mode), path, class, made);
}

#define MODE(flags, mode)                         \
    mode_t mode = 0;                              \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {      \
        va_list more;                             \
        va_start(more, flags);                    \
        mode = va_arg(more, mode_t);              \
        va_end(more);                             \
    }

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_at(dir, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...) {
    MODE(flags, mode)
    return open_at(dir, path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS && (at[fd] || folder_class[fd])) {
        pthread_mutex_lock(&lock);
        at[fd] = NULL;
        folder_class[fd] = 0;
        free(folder_path[fd]);
        folder_path[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return real_close(fd);
}

static struct file *known(int fd) { return fd >= 0 && fd < FDS ? at[fd] : NULL; }

ssize_t pread64(int fd, void *into, size_t len, off64_t from) {
    struct file *f = known(fd);
    if (f && fault(f->class, READ, 0)) return -1;
    return real_pread64(fd, into, len, from);
}
ssize_t pread(int fd, void *into, size_t len, off_t from) { return pread64(fd, into, len, from); }

ssize_t read(int fd, void *into, size_t len) {
    struct file *f = known(fd);
    if (f && fault(f->class, READ, 0)) return -1;
    return real_read(fd, into, len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t to) {
    struct file *f = known(fd);
    if (!f) return real_pwrite64(fd, bytes, len, to);
    int failed = fault(f->class, WRITE, to + len > size_of(fd));
    if (failed == FAILS + 1) return -1;
    if (failed) len = len / 2 ? len / 2 : len;
    pthread_mutex_lock(&lock);
    remember(f, to, to + len);
    ssize_t wrote = real_pwrite64(fd, bytes, len, to);
    give_back(f);
    pthread_mutex_unlock(&lock);
    return wrote;
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t to) { return pwrite64(fd, bytes, len, to); }

ssize_t write(int fd, const void *bytes, size_t len) {
    if (!known(fd)) return real_write(fd, bytes, len);
    off64_t to = lseek64(fd, 0, SEEK_CUR);
    ssize_t wrote = pwrite64(fd, bytes, len, to);
    if (wrote > 0) lseek64(fd, to + wrote, SEEK_SET);
    return wrote;
}

/* What was written since the last sync is on the disk now. The real one is not waited for: who takes the
 * disk back is `cut`. */
static int sync_file(int fd, int (*real)(int)) {
    struct file *f = known(fd);
    int class = f ? f->class : fd >= 0 && fd < FDS ? folder_class[fd] : 0;
    if (!class) return real(fd);
    int failed = fault(class, SYNC, 0), error = errno;
    pthread_mutex_lock(&lock);
    if (f && failed) {
        each_page(f, lose);
    } else if (f) {
        each_page(f, is_lost);
        f->size = size_of(fd);
    } else if (!failed && folder_path[fd]) {
        name_those_in(folder_path[fd]);
    }
    if (f) give_back(f);
    pthread_mutex_unlock(&lock);
    errno = error;
    return failed ? -1 : 0;
}
int fsync(int fd) { return sync_file(fd, real_fsync); }
int fdatasync(int fd) { return sync_file(fd, real_fdatasync); }

int ftruncate64(int fd, off64_t size) {
    struct file *f = known(fd);
    if (!f) return real_ftruncate64(fd, size);
    uint64_t now = size_of(fd);
    if (fault(f->class, TRUNCATE, (uint64_t)size > now)) return -1;
    pthread_mutex_lock(&lock);
    if ((uint64_t)size < now) remember(f, size, now);
    int done = real_ftruncate64(fd, size);
    give_back(f);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char *path) {
    int class = control ? class_of(path) : 0;
    if (class && fault(class, UNLINK, 0)) return -1;
    int done = real_unlink(path);
    if (class && done == 0) {
        pthread_mutex_lock(&lock);
        forget(path);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int class = control ? class_of(path) : 0;
    if (class && fault(class, CREATE, 1)) return -1;
    return real_mkdir(path, mode);
}
