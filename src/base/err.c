/* Errors as values: no allocation, no globals, nothing logged here. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static int
set(struct err *err, int code, const char *field, const char *fmt, va_list ap)
{
	if (err == NULL)
		return code;
	err->code = code;
	err->retry_after_s = 0;
	(void)snprintf(err->field, sizeof err->field, "%s", field);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	return code;
}

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, code, "", fmt, ap);
	va_end(ap);
	return code;
}

int
err_field(struct err *err, int code, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, code, field, fmt, ap);
	va_end(ap);
	return code;
}

int
err_too_often(struct err *err, int retry_after_s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, E_LIMIT, "", fmt, ap);
	va_end(ap);
	if (err != NULL)
		err->retry_after_s = retry_after_s;
	return E_LIMIT;
}

int
err_sys(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	int code = saved == ENOSPC || saved == EDQUOT ? E_FULL : E_SYS;
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	set(err, code, "", fmt, ap);
	va_end(ap);
	if (err != NULL) {
		len = strlen(err->text);
		(void)snprintf(err->text + len, sizeof err->text - len, ": %s", strerrordesc_np(saved));
	}
	errno = saved;
	return code;
}

int
err_nomem(struct err *err)
{
	return err_set(err, E_NOMEM, "out of memory");
}

int
err_prefix(struct err *err, const char *fmt, ...)
{
	char rest[ERR_TEXT_MAX];
	size_t len;
	va_list ap;

	if (err == NULL)
		return E_SYS;
	memcpy(rest, err->text, sizeof rest);
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	(void)snprintf(err->text + len, sizeof err->text - len, ": %s", rest);
	return err->code;
}

const char *
err_name(int code)
{
	static const char *const names[] = {"ok", "invalid-input", "unauthenticated", "forbidden",
	    "not-found", "conflict", "gone", "limit", "busy", "out-of-memory", "internal", "disk-full",
	    "snapshot-required"};
	int i = -code;

	return i >= 0 && i < (int)(sizeof names / sizeof names[0]) ? names[i] : "internal";
}
