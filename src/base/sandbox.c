/* Kernel interfaces that differ by version and machine stay in this file. Every step is irrevocable, and a step that
 * the kernel does not know is an error: the configuration, not this code, decides to go without. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock ------------------------------------------------------------------------------------------------ */

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define FILE_READ LANDLOCK_ACCESS_FS_READ_FILE
#define FILE_WRITE (FILE_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define DIR_READ (FILE_READ | LANDLOCK_ACCESS_FS_READ_DIR)
#define DIR_WRITE \
	(DIR_READ | FILE_WRITE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	    LANDLOCK_ACCESS_FS_REFER)
#define ABI1_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* the first 13 rights */

/* The ABI of the running kernel, 0 without Landlock. */
static long
landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? abi : 0;
}

/* Every right this kernel can take away and this code knows of. */
static uint64_t
rights_known(long abi)
{
	return ABI1_ALL | (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
	    (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
}

bool
sandbox_has_landlock(void)
{
	return landlock_abi() > 0;
}

static int
allow_path(int ruleset, const struct sandbox_path *path, uint64_t known, struct err *err)
{
	static const uint64_t rights[] = {
	    [SANDBOX_READ_FILE] = FILE_READ,
	    [SANDBOX_WRITE_FILE] = FILE_WRITE,
	    [SANDBOX_READ_DIR] = DIR_READ,
	    [SANDBOX_WRITE_DIR] = DIR_WRITE,
	};
	struct landlock_path_beneath_attr rule = {.allowed_access = rights[path->access] & known};
	int rc = 0;

	if ((rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC)) < 0) {
		if (errno == ENOENT && path->optional)
			return 0;
		return err_sys(err, "cannot open %s for the sandbox", path->path);
	}
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		rc = err_sys(err, "cannot allow %s in the sandbox", path->path);
	(void)close(rule.parent_fd);
	return rc;
}

int
sandbox_limit_paths(const struct sandbox_path *paths, size_t n, struct err *err)
{
	struct landlock_ruleset_attr attr = {0};
	long abi = landlock_abi();
	int ruleset, rc = 0;
	size_t i;

	if (abi == 0)
		return err_set(err, E_SYS,
		    "this kernel has no Landlock: boot with lsm=landlock, or set sandbox = off in muster.conf and "
		    "do without");
	attr.handled_access_fs = rights_known(abi);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
	if (ruleset < 0)
		return err_sys(err, "cannot make a Landlock ruleset");
	for (i = 0; rc == 0 && i < n; i++)
		rc = allow_path(ruleset, &paths[i], attr.handled_access_fs, err);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = err_sys(err, "cannot set no_new_privs");
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = err_sys(err, "cannot enter the Landlock sandbox");
	(void)close(ruleset);
	return rc;
}

/* ---- seccomp ------------------------------------------------------------------------------------------------- */

/* What every process of ours does: memory, time, signals, files that are open or that Landlock allows. */
static const char *const calls_common[] = {"brk", "clock_getres", "clock_gettime", "clock_nanosleep", "close",
    "dup", "dup2", "dup3", "exit", "exit_group", "fchmod", "fcntl", "fdatasync", "fstat", "fstatfs", "fsync",
    "ftruncate", "futex", "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom", "getrusage", "gettid",
    "gettimeofday", "getuid", "lseek", "madvise", "membarrier", "mlock", "mlock2", "mmap", "mprotect", "mremap",
    "munlock", "munmap", "nanosleep", "newfstatat", "open", "openat", "poll", "ppoll", "pread64", "pwrite64",
    "prlimit64", "read", "readv", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_getaffinity", "sched_yield", "set_robust_list", "sigaltstack", "stat", "statx", "tgkill", "time", "uname",
    "write", "writev", "lstat", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "pipe2"};

/* The signer talks on sockets that it was given or accepts; it makes none. */
static const char *const calls_signer[] = {"accept", "accept4", "fallocate", "getpeername", "getsockname", "getsockopt", "recvfrom",
    "recvmsg", "sendmsg", "sendto", "shutdown", "setsockopt"};

/* The api serves the network with threads, and writes the broker's files. */
static const char *const calls_api[] = {"accept", "accept4", "access", "bind", "clone", "clone3", "connect",
    "epoll_pwait2", "faccessat", "faccessat2", "fallocate", "fchown", "flock", "getcwd", "getdents64", "getpeername",
    "getpriority", "getsockname", "getsockopt", "ioctl", "link", "listen", "mkdir", "pselect6", "readlink",
    "readlinkat", "recvfrom", "recvmmsg", "recvmsg", "rename", "renameat", "renameat2", "sched_getparam",
    "sched_getscheduler", "sched_setscheduler", "sched_setattr", "select", "sendfile", "sendmmsg", "sendmsg", "sendto",
    "setpriority", "setsockopt", "shutdown", "socket", "socketpair", "sysinfo", "timerfd_create", "timerfd_settime",
    "umask", "unlink", "unlinkat", "utimensat"};

/* Whoever tries one of these is not our code any more. */
static const char *const calls_deadly[] = {"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev",
    "mount", "umount2", "pivot_root", "chroot", "kexec_load", "init_module", "finit_module", "delete_module", "bpf",
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "userfaultfd", "perf_event_open", "keyctl"};

static int
add_rules(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n, struct err *err)
{
	size_t i;
	int call, rc;

	for (i = 0; i < n; i++) {
		/* Not every machine has every call; what it does not have needs no rule. */
		if ((call = seccomp_syscall_resolve_name(names[i])) == __NR_SCMP_ERROR || call < 0)
			continue;
		if ((rc = seccomp_rule_add(filter, action, call, 0)) != 0)
			return err_set(err, E_SYS, "cannot add %s to the seccomp filter: %s", names[i],
			    strerrordesc_np(-rc));
	}
	return 0;
}

/* prctl for thread names only: PR_SET_SECCOMP, PR_SET_DUMPABLE and the like stay out of reach. */
static int
add_prctl(scmp_filter_ctx filter, struct err *err)
{
	const struct scmp_arg_cmp names_only = {.op = SCMP_CMP_EQ, .datum_a = PR_SET_NAME};

	if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &names_only) != 0)
		return err_set(err, E_SYS, "cannot add prctl to the seccomp filter");
	return 0;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int
sandbox_limit_calls(enum sandbox_calls set, struct err *err)
{
	const char *const *names = set == SANDBOX_CALLS_SIGNER ? calls_signer : calls_api;
	size_t n = set == SANDBOX_CALLS_SIGNER ? COUNT(calls_signer) : COUNT(calls_api);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (filter == NULL)
		return err_set(err, E_SYS, "cannot make a seccomp filter");
	if ((rc = add_rules(filter, SCMP_ACT_ALLOW, calls_common, COUNT(calls_common), err)) != 0 ||
	    (rc = add_rules(filter, SCMP_ACT_ALLOW, names, n, err)) != 0 ||
	    (rc = add_rules(filter, SCMP_ACT_KILL_PROCESS, calls_deadly, COUNT(calls_deadly), err)) != 0 ||
	    (rc = add_prctl(filter, err)) != 0)
		goto out;
	if ((rc = seccomp_load(filter)) != 0)
		rc = err_set(err, E_SYS, "cannot load the seccomp filter: %s", strerrordesc_np(-rc));
out:
	seccomp_release(filter);
	return rc;
}

/* ---- users --------------------------------------------------------------------------------------------------- */

int
sandbox_become(uid_t uid, gid_t gid, const gid_t *groups, size_t n, struct err *err)
{
	if (uid == 0 || gid == 0)
		return err_set(err, E_SYS, "becoming root is no way to give up rights");
	if (setgroups(n, groups) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return err_sys(err, "cannot become user %u", (unsigned)uid);
	if (getuid() != uid || geteuid() != uid || getgid() != gid || getegid() != gid || setuid(0) == 0)
		return err_set(err, E_SYS, "still not, or not only, user %u", (unsigned)uid);
	return 0;
}

int
sandbox_user(const char *name, uid_t *uid_out, gid_t *gid_out, struct err *err)
{
	struct passwd *user = getpwnam(name);

	if (user == NULL)
		return err_set(err, E_NOTFOUND,
		    "there is no user %s, as whom a part of Muster runs when root starts it: make it with "
		    "`adduser --system --group --no-create-home %s`",
		    name, name);
	*uid_out = user->pw_uid;
	*gid_out = user->pw_gid;
	return 0;
}

int
sandbox_group(const char *name, gid_t *gid_out, struct err *err)
{
	struct group *group = getgrnam(name);

	if (group == NULL)
		return err_set(err, E_NOTFOUND, "there is no group %s", name);
	*gid_out = group->gr_gid;
	return 0;
}
