/* Lines of a name, a blank and a value: the agent does without a library for more. */
#include "agent/notes.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <stddef.h>
#include <string.h>

#define FILE_MAX 8192

enum file { CONF, STATE };

static const char *const file_names[] = {[CONF] = "agent.conf", [STATE] = "agent.state"};

#define AT(field) offsetof(struct notes, field), sizeof((struct notes *)0)->field

static const struct line {
	enum file file;
	const char *name;
	size_t offset, size;
} lines[] = {{CONF, "url", AT(url)}, {CONF, "label", AT(label)}, {CONF, "broker", AT(broker)}, {CONF, "key", AT(key)},
    {STATE, "connected_at", AT(connected_at)}, {STATE, "rekey", AT(rekey)}};
#define N_LINES (sizeof lines / sizeof lines[0])

/* LINE, without its end, into its field. A line that nobody knows is a newer version's. */
static bool
take(enum file file, const char *line, struct notes *out)
{
	size_t len = strcspn(line, " "), i;

	for (i = 0; line[len] == ' ' && i < N_LINES; i++)
		if (lines[i].file == file && strlen(lines[i].name) == len && memcmp(lines[i].name, line, len) == 0)
			return text_copy((char *)out + lines[i].offset, lines[i].size, line + len + 1);
	return true;
}

static int
file_read(const char *dir, enum file file, struct notes *out, struct err *err)
{
	char path[FS_PATH_MAX], *at, *line;
	struct buf text = {0};
	int rc;

	if ((rc = fs_path(path, dir, file_names[file], err)) != 0 || (rc = fs_read(path, FILE_MAX, &text, err)) != 0)
		return rc;
	at = (char *)text.data;
	while (rc == 0 && (line = strsep(&at, "\n")) != NULL)
		if (!text_is_printable(line, strlen(line)) || !take(file, line, out))
			rc = err_set(err, E_INPUT, "%s is damaged: enrol again", path);
	buf_clear(&text);
	return rc;
}

int
notes_read(const char *dir, struct notes *out, struct err *err)
{
	struct notes notes = {0};
	int rc;

	if ((rc = file_read(dir, CONF, &notes, err)) == E_NOTFOUND)
		return err_set(err, E_NOTFOUND,
		    "nothing has enrolled in %s\nrun `muster-agent enrol --dir %s --url URL --ca FILE --token-file FILE`", dir, dir);
	if (rc != 0 || ((rc = file_read(dir, STATE, &notes, err)) != 0 && rc != E_NOTFOUND))
		return rc;
	*out = notes;
	return 0;
}

static int
file_write(const char *dir, enum file file, const struct notes *notes, struct err *err)
{
	char path[FS_PATH_MAX];
	struct buf text = {0};
	const char *value;
	size_t i;
	int rc;

	if ((rc = fs_path(path, dir, file_names[file], err)) != 0)
		return rc;
	for (i = 0; i < N_LINES; i++) {
		value = (const char *)notes + lines[i].offset;
		if (!text_is_printable(value, strlen(value)))
			rc = err_set(err, E_INPUT, "%s must be one line of text", lines[i].name);
		else if (lines[i].file == file && value[0] != '\0')
			buf_printf(&text, "%s %s\n", lines[i].name, value);
	}
	if (rc == 0)
		rc = buf_failed(&text) ? err_nomem(err)
				       : fs_write(path, 0600, (gid_t)-1, buf_str(&text), text.len, err);
	buf_clear(&text);
	return rc;
}

int
notes_write_conf(const char *dir, const struct notes *notes, struct err *err)
{
	return file_write(dir, CONF, notes, err);
}

int
notes_write_state(const char *dir, const struct notes *notes, struct err *err)
{
	return file_write(dir, STATE, notes, err);
}
