/* While the terminal shows nothing, signals wait, so that it never stays that way. */
#include "cmd/passphrase.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* One line from the terminal FD, without its end. */
static int
read_line(int fd, struct buf *out, struct err *err)
{
	ssize_t n;
	char c;

	for (;;) {
		n = read(fd, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read from the terminal");
		if (n == 0 || c == '\n')
			return buf_failed(out) ? err_nomem(err) : 0;
		if (out->len >= PASSPHRASE_MAX)
			return err_set(err, E_LIMIT, "the passphrase is longer than %d bytes", PASSPHRASE_MAX);
		buf_byte(out, (uint8_t)c);
	}
}

static int
ask(int fd, const char *question, struct buf *out, struct err *err)
{
	struct termios before, silent;
	sigset_t signals, unblocked;
	int rc, ignored;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGQUIT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGTSTP);
	(void)sigprocmask(SIG_BLOCK, &signals, &unblocked);
	if (tcgetattr(fd, &before) != 0) {
		rc = err_sys(err, "cannot use the terminal");
		goto out;
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(fd, TCSAFLUSH, &silent) != 0)
		rc = err_sys(err, "cannot keep the terminal from showing the passphrase");
	else if ((rc = fs_write_all(fd, question, strlen(question), err)) == 0)
		rc = read_line(fd, out, err);
	(void)tcsetattr(fd, TCSAFLUSH, &before);
	ignored = fs_write_all(fd, "\n", 1, NULL); /* the one that was typed did not show */
	(void)ignored;
out:
	(void)sigprocmask(SIG_SETMASK, &unblocked, NULL);
	return rc;
}

static int
from_terminal(bool new, struct buf *out, struct err *err)
{
	struct buf again;
	int fd, rc;

	if ((fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) < 0)
		return err_set(err, E_INPUT, "no terminal to ask for the passphrase: use --passphrase-file FILE");
	buf_init_secret(&again);
	rc = ask(fd, new ? "Passphrase for the backup: " : "Passphrase of the backup: ", out, err);
	if (rc == 0 && new && (rc = ask(fd, "The same again: ", &again, err)) == 0 &&
	    (again.len != out->len || !secret_equal(again.data, out->data, out->len)))
		rc = err_set(err, E_INPUT, "the two differ: nothing was done");
	buf_clear(&again);
	(void)close(fd);
	return rc;
}

int
passphrase_get(const char *file, bool new, struct secret *out, struct err *err)
{
	struct buf text;
	int rc;

	buf_init_secret(&text);
	if (file == NULL)
		rc = from_terminal(new, &text, err);
	else if ((rc = fs_read(file, PASSPHRASE_MAX, &text, err)) == 0)
		text.len = strcspn(buf_str(&text), "\r\n");
	if (rc == 0 && new && text.len < PASSPHRASE_MIN)
		rc = err_set(err, E_INPUT, "the passphrase must have at least %d bytes", PASSPHRASE_MIN);
	if (rc == 0 && (rc = secret_alloc(out, text.len, err)) == 0 && text.len > 0)
		memcpy(out->data, text.data, text.len);
	buf_clear(&text);
	return rc;
}
